package main

func init() { families["conv"] = emitConv }

func emitConv() {}

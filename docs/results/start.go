//go:build ignore

// Command start reads a model, compiles it and runs it once on zeros, and prints
// how long each took: the least that a program with drawknife in it does before
// its first answer.
//
//	go build -ldflags "-s -w" -o start docs/results/start.go
//	perf stat -r 10 ./start model.onnx; /usr/bin/time -f '%M KB' ./start model.onnx
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: start MODEL")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "start:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	begin := time.Now()
	g, err := onnx.Read(path)
	if err != nil {
		return err
	}
	read := time.Now()
	p, err := engine.Compile(g, engine.Options{})
	if err != nil {
		return err
	}
	compiled := time.Now()
	in := map[string]*tensor.Tensor{}
	for i, name := range p.Inputs() {
		in[name] = tensor.New(tensor.Float32, p.InputShape(i)...)
	}
	if _, err := p.Run(context.Background(), in); err != nil {
		return err
	}
	fmt.Println("read", read.Sub(begin), "compile", compiled.Sub(read), "run", time.Since(compiled))
	return nil
}

// Package drawknife is the root of a library and a program that turn
// convolutional neural networks down to size.
//
// A model is a graph.Graph, read and written by package onnx or built by
// package zoo. Package engine runs it, measure tells what it costs and how well
// it does, prune and quantize make it smaller, train heals it, and compress
// does all of that within a budget. docs/architecture.md draws the house.
package drawknife

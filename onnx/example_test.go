package onnx_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
)

// A graph is built, written and read back.
func Example() {
	g := graph.New("example")
	x := g.AddInput("x", tensor.Float32, graph.Shape{graph.Sym("N"), graph.D(3)})
	w := g.AddConst("w", tensor.Of([]float32{1, 2, 3, 4, 5, 6}, 3, 2))
	g.AddOutput(g.Add("Relu", "relu", nil, g.Add("MatMul", "matmul", nil, x, w)))

	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "example.onnx")
	if err := onnx.Write(path, g); err != nil {
		log.Fatal(err)
	}
	h, err := onnx.Read(path)
	if err != nil {
		log.Fatal(err)
	}
	for _, n := range h.Nodes {
		fmt.Println(n)
	}
	fmt.Println(h.Inputs[0].Shape, "operator set", h.Opsets[""], "by", onnx.InfoOf(h).Producer)
	// Output:
	// node "matmul" (MatMul)
	// node "relu" (Relu)
	// Nx3 operator set 13 by drawknife
}

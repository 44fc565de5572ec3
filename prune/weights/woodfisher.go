package weights

import "github.com/drawknife/drawknife/method"

func init() {
	method.Register(method.Method{
		Name: "woodfisher", Family: method.Weights, Summary: "second order by the empirical Fisher matrix in blocks, the rest moved to make up for what goes",
		Paper: "Singh and Alistarh, WoodFisher: Efficient second-order approximation for neural network compression, NeurIPS", Year: 2020,
		Needs:   method.Needs{Data: true, Labels: true},
		Options: fisherOptions("64"),
		New:     func(o map[string]string) (any, error) { return newFisher(o, false) },
	})
}

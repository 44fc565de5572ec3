package quantize

import "github.com/drawknife/drawknife/method"

func init() {
	method.Register(method.Method{
		Name: "int8", Family: method.Quantize, Summary: "static: symmetric weights per channel, affine activations, rounded to nearest; 8 bits or what --wbits and --abits say",
		Paper: "Krishnamoorthi, Quantizing deep convolutional networks for efficient inference: a whitepaper", Year: 2018,
		Needs: method.Needs{Data: true},
		New:   func(map[string]string) (any, error) { return Preset(func(*Options) {}), nil },
	})
}

package quantize

import "github.com/drawknife/drawknife/method"

func init() {
	method.Register(method.Method{
		Name: "bias-correction", Family: method.Quantize, Summary: "take the mean error of quantized weights out of the bias",
		Paper: "Nagel et al., Data-free quantization through weight equalization and bias correction, ICCV", Year: 2019,
		Needs: method.Needs{Data: true},
		New:   func(map[string]string) (any, error) { return Preset(func(o *Options) { o.BiasCorrection = true }), nil },
	})
}

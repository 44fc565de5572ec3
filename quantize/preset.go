package quantize

import "fmt"

// Preset is what a post-training method of family "quantize" makes: it sets the
// options of Static that the method consists of.
type Preset func(o *Options)

func boolean(options map[string]string, name string) (bool, error) {
	switch v := options[name]; v {
	case "true", "false":
		return v == "true", nil
	default:
		return false, fmt.Errorf("%s=%s: want true or false", name, v)
	}
}

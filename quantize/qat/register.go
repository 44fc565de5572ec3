package qat

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/drawknife/drawknife/method"
)

// register adds a method of the family "quantize" that trains.
func register(name, summary, paper string, year int, options []method.Option, make func(o opts) *Method) {
	method.Register(method.Method{Name: name, Family: method.Quantize, Summary: summary, Paper: paper, Year: year,
		Needs: method.Needs{Data: true, Labels: true, Train: true}, Options: options,
		New: func(given map[string]string) (any, error) {
			o := opts{given, new(error)}
			if err := o.check(options); err != nil {
				return nil, err
			}
			m := make(o)
			m.Name = name
			return m, *o.err
		}})
}

// opts reads the options of a method. What cannot be read is reported by check,
// or is left in err.
type opts struct {
	given map[string]string
	err   *error
}

// word is an option that is one of some words.
func (o opts) word(name string, words ...string) string {
	v := o.given[name]
	if !slices.Contains(words, v) {
		*o.err = fmt.Errorf("%s=%s: want %s or %s", name, v, strings.Join(words[:len(words)-1], ", "), words[len(words)-1])
	}
	return v
}

func (o opts) number(name string) float64 {
	v, _ := strconv.ParseFloat(o.given[name], 64)
	return v
}

func (o opts) yes(name string) bool { return o.given[name] == "true" }

// check holds every option to the form of its default: true or false, a number,
// or a word.
func (o opts) check(options []method.Option) error {
	for _, opt := range options {
		v := o.given[opt.Name]
		if opt.Default == "true" || opt.Default == "false" {
			if v != "true" && v != "false" {
				return fmt.Errorf("%s=%s: want true or false", opt.Name, v)
			}
			continue
		}
		if _, err := strconv.ParseFloat(opt.Default, 64); err != nil {
			continue
		}
		x, err := strconv.ParseFloat(v, 64)
		if err != nil || !(x >= 0) || math.IsInf(x, 0) {
			return fmt.Errorf("%s=%s: want a number that is not negative", opt.Name, v)
		}
		if opt.Below > 0 && x >= opt.Below {
			return fmt.Errorf("%s=%s: want a number below %g", opt.Name, v, opt.Below)
		}
	}
	return nil
}

package eval

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register(graph.DrawknifeDomain, arithmetic, 2, map[string]Func{
		"SoftmaxCrossEntropy": crossEntropy, "KLDistill": klDistill, "MSELoss": mseLoss,
	})
}

// lossOf wraps a loss and its gradient.
func lossOf(loss float64, grad []float64, like *tensor.Tensor) ([]*tensor.Tensor, error) {
	l, err := ofFloats(like.DType, []float64{loss}, nil)
	if err != nil {
		return nil, err
	}
	g, err := ofFloats(like.DType, grad, like.Shape)
	return []*tensor.Tensor{l, g}, err
}

// rowsOf checks that t is [N, C].
func rowsOf(t *tensor.Tensor, what string) (rows, cols int, err error) {
	if t.Rank() != 2 {
		return 0, 0, fmt.Errorf("%s of shape %v, want [N, C]", what, t.Shape)
	}
	return t.Shape[0], t.Shape[1], nil
}

// logProbabilities computes the logarithm of the softmax of one row divided by t.
func logProbabilities(row []float64, t float64) []float64 {
	top := slices.Max(row)
	total := 0.0
	for _, v := range row {
		total += math.Exp((v - top) / t)
	}
	out := make([]float64, len(row))
	for i, v := range row {
		out[i] = (v-top)/t - math.Log(total)
	}
	return out
}

// crossEntropy is the mean over the rows of -Σ target·log softmax(logits), and
// its gradient (softmax·Σ target - target)/rows. Labels are either int32 [N],
// smoothed by attribute smoothing s (target 1-s+s/C for the label, s/C for the
// others; a row of label -1 counts for nothing), or float targets [N, C].
func crossEntropy(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	rows, cols, err := rowsOf(in[0], "logits")
	if err != nil {
		return nil, err
	}
	target, count, err := crossEntropyTargets(n, in[1], rows, cols)
	if err != nil {
		return nil, err
	}
	z, grad, loss := floats(in[0]), make([]float64, rows*cols), 0.0
	for r := range rows {
		t := target[r*cols:][:cols]
		weight := sum(t)
		if weight == 0 {
			continue
		}
		logp := logProbabilities(z[r*cols:][:cols], 1)
		for c, lp := range logp {
			if t[c] != 0 {
				loss -= t[c] * lp / count
			}
			grad[r*cols+c] = (math.Exp(lp)*weight - t[c]) / count
		}
	}
	return lossOf(loss, grad, in[0])
}

// crossEntropyTargets returns the target distributions and the number of rows
// that count.
func crossEntropyTargets(n *graph.Node, labels *tensor.Tensor, rows, cols int) ([]float64, float64, error) {
	if labels.DType.IsFloat() {
		if !slices.Equal(labels.Shape, []int{rows, cols}) {
			return nil, 0, fmt.Errorf("targets of shape %v, want [%d, %d]", labels.Shape, rows, cols)
		}
		return floats(labels), float64(max(rows, 1)), nil
	}
	if !slices.Equal(labels.Shape, []int{rows}) {
		return nil, 0, fmt.Errorf("labels of shape %v, want [%d]", labels.Shape, rows)
	}
	smoothing := float64(n.Float("smoothing", 0))
	target, count := make([]float64, rows*cols), 0
	for r, label := range integers(labels) {
		if label == -1 {
			continue
		}
		if label < 0 || label >= int64(cols) {
			return nil, 0, fmt.Errorf("label %d of row %d is not in [0, %d)", label, r, cols)
		}
		count++
		fill(target[r*cols:][:cols], smoothing/float64(cols))
		target[r*cols+int(label)] += 1 - smoothing
	}
	return target, float64(max(count, 1)), nil
}

// klDistill is Hinton's distillation loss (2015): T² times the mean over rows
// of KL(softmax(teacher/T) ‖ softmax(student/T)), and its gradient
// T·(softmax(student/T) - softmax(teacher/T))/rows.
func klDistill(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	rows, cols, err := rowsOf(in[0], "student")
	if err != nil {
		return nil, err
	}
	if !slices.Equal(in[1].Shape, in[0].Shape) {
		return nil, fmt.Errorf("teacher %v does not fit student %v", in[1].Shape, in[0].Shape)
	}
	t := float64(n.Float("temperature", 1))
	if !(t > 0) {
		return nil, fmt.Errorf("temperature %v, want more than 0", t)
	}
	s, q, grad, loss := floats(in[0]), floats(in[1]), make([]float64, rows*cols), 0.0
	count := float64(max(rows, 1))
	for r := range rows {
		ls, lt := logProbabilities(s[r*cols:][:cols], t), logProbabilities(q[r*cols:][:cols], t)
		for c := range ls {
			p := math.Exp(lt[c])
			if p > 0 {
				loss += t * t * p * (lt[c] - ls[c]) / count
			}
			grad[r*cols+c] = t * (math.Exp(ls[c]) - p) / count
		}
	}
	return lossOf(loss, grad, in[0])
}

// mseLoss is the mean of (prediction - target)² over all elements, and its
// gradient.
func mseLoss(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if !slices.Equal(in[1].Shape, in[0].Shape) {
		return nil, fmt.Errorf("target %v does not fit prediction %v", in[1].Shape, in[0].Shape)
	}
	p, t := floats(in[0]), floats(in[1])
	grad, loss, count := make([]float64, len(p)), 0.0, float64(max(len(p), 1))
	for i := range p {
		d := p[i] - t[i]
		loss += d * d / count
		grad[i] = 2 * d / count
	}
	return lossOf(loss, grad, in[0])
}

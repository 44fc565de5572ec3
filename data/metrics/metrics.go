// Package metrics measures classifiers: top-1 and top-5 accuracy,
// cross-entropy, the confusion matrix and its per-class figures, and the paired
// comparison of two classifiers on the same pictures.
package metrics

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Classification gathers the results of a classifier batch by batch. The zero
// value is not usable; see New.
type Classification struct {
	// Probabilities says that the network's outputs are probabilities (it ends
	// in a Softmax) and not logits; it matters for the loss only.
	Probabilities bool

	classes    int
	n          int
	top1, top5 int
	loss       float64
	skipped    int
	bad        int
	confusion  []int64 // [label, prediction]; nil if there are too many classes
	count      []int64 // by label
	correct    []int64 // by label
	predicted  []int64 // by prediction
	preds      []int32
	labels     []int32
}

// maxMatrix bounds the classes for which a confusion matrix is kept (32 MB).
const maxMatrix = 2048

// New returns an empty measurement of a classifier with the given number of
// outputs.
func New(classes int) *Classification {
	if classes < 1 {
		panic(fmt.Sprintf("metrics: %d classes", classes))
	}
	c := &Classification{
		classes: classes,
		count:   make([]int64, classes), correct: make([]int64, classes), predicted: make([]int64, classes),
	}
	if classes <= maxMatrix {
		c.confusion = make([]int64, classes*classes)
	}
	return c
}

// Add counts a batch: scores is [N, classes], labels has N entries. Pictures
// with the label −1 are passed over. A score that is not a number counts as
// wrong. Of equal scores the first is the prediction. The error names a label
// that the classifier has no output for.
func (c *Classification) Add(scores []float32, labels []int32) error {
	if len(scores) != len(labels)*c.classes {
		return fmt.Errorf("metrics: %d scores for %d pictures and %d classes", len(scores), len(labels), c.classes)
	}
	for _, l := range labels {
		if l < -1 || int(l) >= c.classes {
			return fmt.Errorf("metrics: label %d, but the network has %d outputs; is --label-offset right?", l, c.classes)
		}
	}
	for i, l := range labels {
		if l < 0 {
			c.skipped++
			continue
		}
		c.add(scores[i*c.classes:(i+1)*c.classes], int(l))
	}
	return nil
}

func (c *Classification) add(s []float32, label int) {
	best, rank, finite := 0, 0, true
	for k, v := range s {
		if v != v || math.IsInf(float64(v), 0) {
			finite = false
		}
		if v > s[best] || s[best] != s[best] {
			best = k
		}
		if v > s[label] || (v == s[label] && k < label) {
			rank++
		}
	}
	if s[label] != s[label] {
		rank = c.classes
	}
	if !finite {
		c.bad++
	}
	c.n++
	c.count[label]++
	c.predicted[best]++
	if rank == 0 && best == label {
		c.top1++
		c.correct[label]++
	}
	if rank < 5 {
		c.top5++
	}
	if c.confusion != nil {
		c.confusion[label*c.classes+best]++
	}
	c.preds, c.labels = append(c.preds, int32(best)), append(c.labels, int32(label))
	c.loss += c.crossEntropy(s, label)
}

// crossEntropy is −log p(label), with p the softmax of s in double precision.
func (c *Classification) crossEntropy(s []float32, label int) float64 {
	if c.Probabilities {
		return -math.Log(max(float64(s[label]), 1e-12))
	}
	top := float64(slices.Max(s))
	sum := 0.0
	for _, v := range s {
		sum += math.Exp(float64(v) - top)
	}
	return math.Log(sum) + top - float64(s[label])
}

// N is the number of pictures counted.
func (c *Classification) N() int { return c.n }

// Skipped is the number of pictures without a label.
func (c *Classification) Skipped() int { return c.skipped }

// NonFinite is the number of pictures with a score that is infinite or not a
// number.
func (c *Classification) NonFinite() int { return c.bad }

// Top1 is the share of pictures whose class has the highest score, in percent.
func (c *Classification) Top1() float64 { return percent(c.top1, c.n) }

// Top5 is the share of pictures whose class is among the five highest scores,
// in percent.
func (c *Classification) Top5() float64 { return percent(c.top5, c.n) }

// Loss is the mean cross-entropy in nats.
func (c *Classification) Loss() float64 {
	if c.n == 0 {
		return 0
	}
	return c.loss / float64(c.n)
}

// Predictions are the predicted class and the label of every counted picture,
// in the order of Add.
func (c *Classification) Predictions() (predicted, labels []int32) { return c.preds, c.labels }

func percent[T int | int64](part, whole T) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// Confusion is how often pictures of class label were taken for class
// predicted. It is 0 for networks of more than 2,048 outputs.
func (c *Classification) Confusion(label, predicted int) int64 {
	if c.confusion == nil {
		return 0
	}
	return c.confusion[label*c.classes+predicted]
}

// Class is the result for one class.
type Class struct {
	Class int `json:"class"`
	// Count is the number of its pictures, Predicted of those taken for it, and
	// Correct of those that are both.
	Count     int64 `json:"count"`
	Predicted int64 `json:"predicted"`
	Correct   int64 `json:"correct"`
	// Recall = Correct/Count and Precision = Correct/Predicted, in percent.
	Recall    float64 `json:"recall"`
	Precision float64 `json:"precision"`
	// MostConfused is the class it was most often taken for by mistake, −1 if
	// none, and Times how often.
	MostConfused int   `json:"most_confused"`
	Times        int64 `json:"times"`
}

// Classes is the result for each class that occurs among the labels or the
// predictions.
func (c *Classification) Classes() []Class {
	var out []Class
	for k := range c.classes {
		if c.count[k] == 0 && c.predicted[k] == 0 {
			continue
		}
		r := Class{
			Class: k, Count: c.count[k], Predicted: c.predicted[k], Correct: c.correct[k],
			Recall: percent(c.correct[k], c.count[k]), Precision: percent(c.correct[k], c.predicted[k]),
			MostConfused: -1,
		}
		for p := range c.classes {
			if n := c.Confusion(k, p); p != k && n > r.Times {
				r.MostConfused, r.Times = p, n
			}
		}
		out = append(out, r)
	}
	return out
}

// Mistake counts pictures of class Label that were taken for class Predicted.
type Mistake struct {
	Label     int   `json:"label"`
	Predicted int   `json:"predicted"`
	Times     int64 `json:"times"`
}

// Mistakes are the most frequent confusions, at most n, the most frequent first.
func (c *Classification) Mistakes(n int) []Mistake {
	var all []Mistake
	for at, times := range c.confusion {
		if l, p := at/c.classes, at%c.classes; times > 0 && l != p {
			all = append(all, Mistake{l, p, times})
		}
	}
	slices.SortStableFunc(all, func(a, b Mistake) int { return cmp.Compare(b.Times, a.Times) })
	return all[:min(max(n, 0), len(all))]
}

// Paired compares two classifiers on the same pictures.
type Paired struct {
	// N pictures; on OnlyA of them only the first is right, on OnlyB only the
	// second; on Agree both predict the same class.
	N     int `json:"n"`
	OnlyA int `json:"only_a"`
	OnlyB int `json:"only_b"`
	Agree int `json:"agree"`
}

// Compare pairs the predictions of two classifiers with the labels.
func Compare(a, b, labels []int32) (Paired, error) {
	if len(a) != len(labels) || len(b) != len(labels) {
		return Paired{}, fmt.Errorf("metrics: %d and %d predictions for %d labels", len(a), len(b), len(labels))
	}
	p := Paired{N: len(labels)}
	for i, l := range labels {
		switch {
		case a[i] == l && b[i] != l:
			p.OnlyA++
		case b[i] == l && a[i] != l:
			p.OnlyB++
		}
		if a[i] == b[i] {
			p.Agree++
		}
	}
	return p, nil
}

// Drop is how many points of top-1 the second classifier is below the first,
// with one standard error of the paired difference. Because both saw the same
// pictures it is far smaller than that of either accuracy.
func (p Paired) Drop() (points, stderr float64) {
	if p.N == 0 {
		return 0, 0
	}
	n := float64(p.N)
	d, s := float64(p.OnlyA-p.OnlyB)/n, float64(p.OnlyA+p.OnlyB)/n
	return 100 * d, 100 * math.Sqrt(max(0, s-d*d)/n)
}

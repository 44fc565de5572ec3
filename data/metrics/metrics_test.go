package metrics

import (
	"math"
	"testing"
)

var nan = float32(math.NaN())

func TestClassification(t *testing.T) {
	c := New(6)
	scores := []float32{
		9, 1, 2, 3, 4, 5, // right
		5, 4, 3, 2, 1, 0, // class 4 is fifth
		5, 4, 3, 2, 1, 0, // class 5 is sixth
		1, 1, 0, 0, 0, 0, // a tie: class 0 wins, class 1 is second
		0, 0, 0, 0, 0, 7, // no label
	}
	if err := c.Add(scores[:12], []int32{0, 4}); err != nil {
		t.Fatal(err)
	}
	if err := c.Add(scores[12:], []int32{5, 1, -1}); err != nil {
		t.Fatal(err)
	}
	if c.N() != 4 || c.Skipped() != 1 || c.Top1() != 25 || c.Top5() != 75 {
		t.Errorf("n %d, skipped %d, top-1 %v, top-5 %v", c.N(), c.Skipped(), c.Top1(), c.Top5())
	}
	want := 0.0
	for i, l := range []int{0, 4, 5, 1} {
		sum := 0.0
		for _, v := range scores[6*i : 6*i+6] {
			sum += math.Exp(float64(v))
		}
		want -= math.Log(math.Exp(float64(scores[6*i+l]))/sum) / 4
	}
	if math.Abs(c.Loss()-want) > 1e-12 {
		t.Errorf("loss %v, want %v", c.Loss(), want)
	}
	if c.Confusion(4, 0) != 1 || c.Confusion(0, 0) != 1 || c.Confusion(0, 4) != 0 {
		t.Error("confusion matrix is wrong")
	}
	classes := c.Classes()
	if len(classes) != 4 || classes[0] != (Class{0, 1, 4, 1, 100, 25, -1, 0}) || classes[2] != (Class{4, 1, 0, 0, 0, 0, 0, 1}) {
		t.Errorf("per class: %+v", classes)
	}
	if m := c.Mistakes(2); len(m) != 2 || m[0] != (Mistake{1, 0, 1}) {
		t.Errorf("mistakes: %+v", m)
	}
}

func TestNotANumber(t *testing.T) {
	c := New(3)
	if err := c.Add([]float32{nan, nan, nan, nan, 2, 1, 1, nan, 0}, []int32{0, 1, 0}); err != nil {
		t.Fatal(err)
	}
	if c.NonFinite() != 3 || c.Top1() < 66 || c.Top1() > 67 {
		t.Errorf("%d rows with NaN, top-1 %v", c.NonFinite(), c.Top1())
	}
}

func TestProbabilities(t *testing.T) {
	c := New(2)
	c.Probabilities = true
	if err := c.Add([]float32{0.25, 0.75}, []int32{0}); err != nil {
		t.Fatal(err)
	}
	if got, want := c.Loss(), math.Log(4); math.Abs(got-want) > 1e-12 {
		t.Errorf("loss %v, want %v", got, want)
	}
}

func TestErrors(t *testing.T) {
	c := New(2)
	for _, labels := range [][]int32{{2}, {-2}, {0, 1}} {
		if err := c.Add([]float32{0, 1}, labels); err == nil {
			t.Errorf("labels %v pass", labels)
		}
	}
	if c.N() != 0 || c.Top1() != 0 || c.Loss() != 0 {
		t.Error("a refused batch counts")
	}
	if _, err := Compare([]int32{1}, []int32{1, 2}, []int32{1, 2}); err == nil {
		t.Error("predictions of different lengths compare")
	}
}

func TestPaired(t *testing.T) {
	p, err := Compare([]int32{0, 1, 2, 3}, []int32{0, 1, 0, 0}, []int32{0, 1, 2, 0})
	if err != nil {
		t.Fatal(err)
	}
	if p != (Paired{N: 4, OnlyA: 1, OnlyB: 1, Agree: 2}) {
		t.Errorf("%+v", p)
	}
	if d, se := p.Drop(); d != 0 || math.Abs(se-100*math.Sqrt(0.5/4)) > 1e-9 {
		t.Errorf("drop %v ± %v", d, se)
	}
}

func BenchmarkAdd(b *testing.B) {
	c := New(1000)
	scores := make([]float32, 1000)
	for i := range scores {
		scores[i] = float32(i%37) / 7
	}
	for b.Loop() {
		if err := c.Add(scores, []int32{5}); err != nil {
			b.Fatal(err)
		}
	}
}

package reuse

import "testing"

func TestList(t *testing.T) {
	var l List[int]
	if l.Get() != nil {
		t.Fatal("an empty list gave something")
	}
	a, b := new(int), new(int)
	l.Put(a)
	l.Put(b)
	if x, y := l.Get(), l.Get(); x == y || x == nil || y == nil || l.Get() != nil {
		t.Fatal("two objects went in, others came out")
	}
}

package method

import (
	"strings"
	"testing"
)

type score interface{ Rate() string }
type fake string

func (f fake) Rate() string { return string(f) }

func TestNew(t *testing.T) {
	Register(Method{Name: "test-fake", Family: "test", Summary: "a fake", Options: []Option{{Name: "rate", Default: "0.5", Help: "how much"}},
		New: func(o map[string]string) (any, error) { return fake(o["rate"]), nil }})
	for _, c := range []struct{ spec, want, err string }{
		{"test-fake", "0.5", ""},
		{"test-fake:rate=0.7", "0.7", ""},
		{"test-fake:speed=1", "", "no option"},
		{"nothing", "", "no method is called"},
	} {
		s, err := New[score]("test", c.spec)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want one that says %q", c.spec, err, c.err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.spec, err)
		case s.Rate() != c.want:
			t.Errorf("%s: rate %q, want %q", c.spec, s.Rate(), c.want)
		}
	}
	if _, err := New[interface{ Nothing() }]("test", "test-fake"); err == nil {
		t.Error("New gave a type that the method does not make")
	}
}

func TestRegisterRefusesDuplicates(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("a second method of the same name was accepted")
		}
	}()
	m := Method{Name: "test-twice", Family: "test", Summary: "x", New: func(map[string]string) (any, error) { return nil, nil }}
	Register(m)
	Register(m)
}

func TestNeedsOf(t *testing.T) {
	Register(Method{Name: "looks", Family: "needy", Summary: "s", Needs: Needs{Data: true, Images: 9}, New: func(map[string]string) (any, error) { return 1, nil }})
	Register(Method{Name: "learns", Family: "needy", Summary: "s", Needs: Needs{Labels: true, Train: true, Images: 5}, New: func(map[string]string) (any, error) { return 1, nil }})
	n, err := NeedsOf("needy", "looks:a=b", "needy", "", "needy", "learns")
	if want := (Needs{Data: true, Labels: true, Train: true, Images: 9}); err != nil || n != want {
		t.Errorf("%+v, %v; want %+v", n, err, want)
	}
	if _, err := NeedsOf("needy", "sleeps"); err == nil || !strings.Contains(err.Error(), "learns, looks") {
		t.Errorf("%v does not list what there is", err)
	}
}

package docgen

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/drawknife/drawknife/method"
)

func TestMethods(t *testing.T) {
	pages, err := Methods([]method.Method{
		{Name: "mse", Family: method.Calibrate, Summary: "least |x|ᵖ <error>", Paper: "Li et al., BRECQ, ICLR", Year: 2021, Needs: method.Needs{Data: true},
			Options: []method.Option{{Name: "p", Default: "2", Help: "power"}}},
		{Name: "l1", Family: method.Prune, Summary: "smallest norm"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) != 3 {
		t.Errorf("%d pages, want README.md, prune.md and calibrate.md", len(pages))
	}
	for file, want := range map[string][]string{
		"README.md":    {"## [Calibration](calibrate.md)", `| [mse](calibrate.md#mse) | least \|x\|ᵖ &lt;error> | data | Li et al. 2021 |`, "| [l1](prune.md#l1) | smallest norm | nothing |  |"},
		"calibrate.md": {"# Calibration", "## mse\n\nLeast |x|ᵖ <error>.\n\n- Source: Li et al., BRECQ, ICLR, 2021.\n- Needs: data.\n\n", "| `p` | `2` | power |\n"},
		"prune.md":     {"## l1\n\nSmallest norm.\n\n- Needs: nothing.\n"},
	} {
		for _, s := range want {
			if !strings.Contains(pages[file], s) {
				t.Errorf("%s lacks %q:\n%s", file, s, pages[file])
			}
		}
	}
	if _, err := Methods([]method.Method{{Name: "x", Family: "magic"}}); err == nil {
		t.Error("a family without an introduction was accepted")
	}
}

func TestCLI(t *testing.T) {
	var grammar struct {
		Threads int  `help:"workers" default:"0" placeholder:"N"`
		Quiet   bool `short:"q" help:"No progress."`
		Bench   struct {
			Model string `arg:"" help:"Model file."`
			Ort   string `help:"Library." placeholder:"PATH" env:"TEST_ORT"`
			Kind  string `help:"What to time." enum:"fast,slow" default:"fast"`
			Out   string `short:"o" required:"" help:"File."`
		} `cmd:"" help:"Measure latency."`
		Data struct {
			List struct{} `cmd:"" help:"List them."`
			Get  struct {
				Names []string `arg:"" help:"Which."`
			} `cmd:"" help:"Fetch them."`
		} `cmd:"" help:"Data sets."`
		Secret struct{} `cmd:"" hidden:"" help:"Not shown."`
	}
	parser, err := kong.New(&grammar, kong.Name("tool"))
	if err != nil {
		t.Fatal(err)
	}
	page := CLI(parser.Model)
	for _, want := range []string{
		"| [bench](#tool-bench) | Measure latency. |", "| [data get](#tool-data-get) | Fetch them. |",
		"| `--threads=N` | `0` | workers. |", "| `-q, --quiet` |  | No progress. |",
		"```\ntool bench <model> --out=OUT [flags]\n```", "| `<model>` | Model file. |",
		"| `--ort=PATH` |  | Library. Also from the environment variable `TEST_ORT`. |",
		"| `--kind=KIND` | `fast` | What to time. One of `fast`, `slow`. |", "| `-o, --out=OUT` |  | File. Required. |",
		"## tool data get\n\nFetch them.\n\n```\ntool data get <names> ... [flags]\n```",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "secret") {
		t.Error("a hidden verb is shown")
	}
	if t.Failed() {
		t.Log(page)
	}
}

package zoo_test

import (
	"fmt"

	"github.com/drawknife/drawknife/zoo"
)

func ExampleBuild() {
	g, err := zoo.Build("resnet20?classes=100&width=0.5", 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	cost := g.Cost()
	fmt.Println(g.Outputs[0].Name, g.Outputs[0].Shape, cost.Params, cost.MACs)
	// Output: logits Nx100 71020 10251392
}

// Coffee machine in Go: the same action as ../coffee, with a JSON library.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func fail(message string) {
	fmt.Fprint(os.Stderr, message)
	os.Exit(1)
}

func main() {
	var asked struct {
		Action string
		Input  struct{ Cups *int }
	}
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fail(err.Error())
	}
	if asked.Action != "brew" {
		fail("the machine can brew and nothing else")
	}
	cups := 1
	if asked.Input.Cups != nil {
		cups = *asked.Input.Cups
	}
	if cups < 1 || cups > 12 {
		fail("cups must be in 1..12")
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"performed": "brew", "cups": cups, "water_ml": 125 * cups,
		"said": fmt.Sprintf("Brewing, cups: %d", cups),
	})
}

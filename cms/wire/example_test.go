package wire_test

import (
	"encoding/json"
	"fmt"

	"github.com/elastipod/elastipod/cms/wire"
)

func ExamplePod() {
	var p wire.Pod
	err := json.Unmarshal([]byte(`{
		"name": "web",
		"workload": {"image": "nginx:1.27", "ports": {"http": 80}, "probe": {"http": "/"}},
		"limits": {"cpu": 0.5, "memory": "300MiB"},
		"fronts": [{"listen": "127.0.0.1:5100"}]
	}`), &p)
	fmt.Println(p.Name, p.Limits.CPU, int64(p.Limits.Memory), p.Fronts[0].Listen, err)
	// Output: web 0.5 314572800 127.0.0.1:5100 <nil>
}

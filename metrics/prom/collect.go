package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/elastipod/elastipod/metrics"
)

// descriptions are the metrics that are read from the source.
type descriptions struct {
	all []*prometheus.Desc

	podNodes, podWanted, podMin, podMax, podElastic *prometheus.Desc
	podCPU, podMemory                               *prometheus.Desc
	podInFlight, podWaiting, podTime                *prometheus.Desc
	podRequests, podErrors, podSampled              *prometheus.Desc
	podProblems, podCut                             *prometheus.Desc

	balancerReachable           *prometheus.Desc
	frontRequests, frontErrors  *prometheus.Desc
	frontInFlight, frontWaiting *prometheus.Desc
	frontServers, frontDown     *prometheus.Desc

	hostReachable, hostCordoned, hostNodes *prometheus.Desc
	hostCPU, hostCPUReserved, hostCPUUsed  *prometheus.Desc
	hostMem, hostMemReserved, hostMemUsed  *prometheus.Desc
	hostDiskCapacity, hostDiskUsed         *prometheus.Desc
	hostImages, hostImageBytes             *prometheus.Desc
}

func describe(ns string) *descriptions {
	d := &descriptions{}
	add := func(name, help string, labels ...string) *prometheus.Desc {
		x := prometheus.NewDesc(ns+"_"+name, help, labels, nil)
		d.all = append(d.all, x)
		return x
	}
	d.podNodes = add("pod_nodes", "Nodes of the pod by state.", "pod", "state")
	d.podWanted = add("pod_wanted_nodes", "Nodes that the pod should have.", "pod")
	d.podElastic = add("pod_elasticity_enabled", "Whether a policy decides the number of nodes (1) or people do (0).", "pod")
	d.podMin = add("pod_min_nodes", "Least nodes that the policy may want, while elasticity is enabled.", "pod")
	d.podMax = add("pod_max_nodes", "Most nodes that the policy may want, while elasticity is enabled.", "pod")
	d.podCPU = add("pod_cpu_utilization_ratio", "CPU of the online nodes, mean, as a fraction of a node's limit.", "pod")
	d.podMemory = add("pod_memory_utilization_ratio", "Memory of the online nodes, mean, as a fraction of a node's limit.", "pod")
	d.podInFlight = add("pod_in_flight_requests", "Requests that have been taken and not answered in full, those that wait included.", "pod")
	d.podWaiting = add("pod_waiting_requests", "Requests in flight that wait for a node.", "pod")
	d.podTime = add("pod_response_time_seconds", "Quantile q of response times over about the last ten seconds.", "pod", "q")
	d.podRequests = add("pod_requests_total", "Requests that the pod's fronts have taken.", "pod")
	d.podErrors = add("pod_request_errors_total", "Requests that failed: answered with a 5xx status, or not answered.", "pod")
	d.podCut = add("pod_cut_requests_total", "Requests and connections, such as WebSockets, that nodes still had when the deadline of their drain passed.", "pod")
	d.podSampled = add("pod_sample_timestamp_seconds", "When the pod was last measured, in seconds since 1970.", "pod")
	d.podProblems = add("pod_problems", "Things that are wrong with the pod now; the API says which.", "pod")

	d.balancerReachable = add("balancer_reachable", "Whether the balancer answers (1) or not (0); while it does not, what is told of fronts is old.")
	d.frontRequests = add("front_requests_total", "Requests that the front has taken.", "front", "pod")
	d.frontErrors = add("front_request_errors_total", "Requests to the front that failed: answered with a 5xx status, or not answered.", "front", "pod")
	d.frontInFlight = add("front_in_flight_requests", "Requests that the front has taken and not answered in full, those that wait included.", "front", "pod")
	d.frontWaiting = add("front_waiting_requests", "Requests in flight that wait for a server.", "front", "pod")
	d.frontServers = add("front_servers", "Servers behind the front by state: ready ones take new requests, draining ones finish what they have.", "front", "pod", "state")
	d.frontDown = add("front_down_servers", "Servers behind the front that do not answer the balancer.", "front", "pod")

	d.hostReachable = add("host_reachable", "Whether the host answers (1) or not (0).", "host")
	d.hostCordoned = add("host_cordoned", "Whether the host takes no new nodes (1).", "host")
	d.hostNodes = add("host_nodes", "Nodes of this cluster on the host.", "host")
	d.hostCPU = add("host_cpu_capacity_cores", "Cores that the host has.", "host")
	d.hostCPUReserved = add("host_cpu_reserved_cores", "Cores that nodes of this cluster have reserved.", "host")
	d.hostCPUUsed = add("host_cpu_used_cores", "Cores in use on the host, by nodes and all else.", "host")
	d.hostMem = add("host_memory_capacity_bytes", "Memory that the host has.", "host")
	d.hostMemReserved = add("host_memory_reserved_bytes", "Memory that nodes of this cluster have reserved.", "host")
	d.hostMemUsed = add("host_memory_used_bytes", "Memory in use on the host, by nodes and all else.", "host")
	d.hostDiskCapacity = add("host_disk_capacity_bytes", "Size of the disk on which nodes' data lies.", "host")
	d.hostDiskUsed = add("host_disk_used_bytes", "Bytes in use on the disk on which nodes' data lies.", "host")
	d.hostImages = add("host_images_removed_total", "Images that were removed from the host as nothing needs them any more.", "host")
	d.hostImageBytes = add("host_images_removed_bytes_total", "Size of the images that were removed; the disk gains less where others share layers.", "host")
	return d
}

func (c *collector) pod(p *Pod) {
	d, s := c.descs, &p.Sample
	c.counter(d.podRequests, p.Requests, p.Name)
	c.counter(d.podErrors, p.Errors, p.Name)
	c.counter(d.podCut, metrics.V(float64(p.Cut)), p.Name)
	c.gauge(d.podElastic, flag(p.Elastic), p.Name)
	c.gauge(d.podProblems, count(p.Problems), p.Name)
	if p.Elastic {
		c.gauge(d.podMin, count(p.Min), p.Name)
		c.gauge(d.podMax, count(p.Max), p.Name)
	}
	if s.At.IsZero() {
		return
	}
	c.gauge(d.podSampled, metrics.V(float64(s.At.UnixMilli())/1000), p.Name)
	c.gauge(d.podWanted, count(s.Want), p.Name)
	for _, n := range []struct {
		state string
		nodes int
	}{
		{"new", s.Nodes.New}, {"starting", s.Nodes.Starting}, {"online", s.Nodes.Online},
		{"standby", s.Nodes.Standby}, {"draining", s.Nodes.Draining}, {"failed", s.Nodes.Failed},
	} {
		c.gauge(d.podNodes, count(n.nodes), p.Name, n.state)
	}
	c.gauge(d.podCPU, s.CPU, p.Name)
	c.gauge(d.podMemory, s.Memory, p.Name)
	c.gauge(d.podInFlight, s.InFlight, p.Name)
	c.gauge(d.podWaiting, s.Waiting, p.Name)
	c.gauge(d.podTime, s.P50, p.Name, "0.5")
	c.gauge(d.podTime, s.P95, p.Name, "0.95")
	c.gauge(d.podTime, s.P99, p.Name, "0.99")
}

func (c *collector) balancer(b *Balancer) {
	d := c.descs
	c.gauge(d.balancerReachable, flag(b.Reachable))
	for i := range b.Fronts {
		f := &b.Fronts[i]
		c.counter(d.frontRequests, f.Requests, f.Name, f.Pod)
		c.counter(d.frontErrors, f.Errors, f.Name, f.Pod)
		c.gauge(d.frontInFlight, f.InFlight, f.Name, f.Pod)
		c.gauge(d.frontWaiting, f.Waiting, f.Name, f.Pod)
		c.gauge(d.frontServers, count(f.Ready), f.Name, f.Pod, "ready")
		c.gauge(d.frontServers, count(f.Draining), f.Name, f.Pod, "draining")
		c.gauge(d.frontDown, count(f.Down), f.Name, f.Pod)
	}
}

func (c *collector) host(h *Host) {
	d := c.descs
	c.gauge(d.hostReachable, flag(h.Reachable), h.Name)
	c.gauge(d.hostCordoned, flag(h.Cordoned), h.Name)
	c.gauge(d.hostNodes, count(h.Nodes), h.Name)
	c.gauge(d.hostCPU, h.CPUCapacity, h.Name)
	c.gauge(d.hostCPUReserved, h.CPUReserved, h.Name)
	c.gauge(d.hostCPUUsed, h.CPUUsed, h.Name)
	c.gauge(d.hostMem, h.MemoryCapacity, h.Name)
	c.gauge(d.hostMemReserved, h.MemoryReserved, h.Name)
	c.gauge(d.hostMemUsed, h.MemoryUsed, h.Name)
	c.gauge(d.hostDiskCapacity, h.DiskCapacity, h.Name)
	c.gauge(d.hostDiskUsed, h.DiskUsed, h.Name)
	c.counter(d.hostImages, h.ImagesRemoved, h.Name)
	c.counter(d.hostImageBytes, h.ImageBytesRemoved, h.Name)
}

func count(n int) metrics.Value { return metrics.V(float64(n)) }

func flag(b bool) metrics.Value {
	if b {
		return metrics.V(1)
	}
	return metrics.V(0)
}

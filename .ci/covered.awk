# Prints how much of each tree of packages a profile of "go test -coverprofile"
# says was run, and fails where it is less than min percent.
#
#	awk -v min=85 -v trees="cms pod" -f .ci/covered.awk cover.out
#
# A block has a line for each package whose tests were run, such as
# "github.com/elastipod/elastipod/pod/state.go:81.31,83.2 1 4": its place, its
# statements and how often they were run. It counts once, as run if any test ran it.
$1 != "mode:" {
	statements[$1] = $2
	if ($3 > 0) run[$1] = 1
}

END {
	for (block in statements) {
		split(block, part, "/")
		all[part[4]] += statements[block]
		if (block in run) ran[part[4]] += statements[block]
	}
	n = split(trees, tree, " ")
	for (i = 1; i <= n; i++) {
		t = tree[i]
		percent = all[t] ? 100 * ran[t] / all[t] : 0 # a tree without statements is a wrong name
		if (percent < min) bad = 1
		printf "%-4s %-8s %5.1f %% of %d statements, at least %d %%\n", percent < min ? "FAIL" : "ok", t, percent, all[t], min
	}
	exit bad
}

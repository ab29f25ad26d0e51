package main

import (
	"bytes"
	"errors"
	"io"

	"github.com/spf13/cobra"
)

// The completion script of bash uses two functions of the package bash-completion,
// which a minimal system lacks. These take their place there.
const (
	bashWords     = "    _get_comp_words_by_ref \"$@\" cur prev words cword\n"
	bashOwnWords  = "    read -ra words <<<\"${COMP_LINE:0:COMP_POINT}\"\n    [[ ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]] && words+=(\"\")\n    cword=$((${#words[@]} - 1))\n    cur=${words[cword]}\n    prev=${words[cword > 0 ? cword - 1 : 0]}\n"
	bashFiles     = "_filedir"
	bashOwnFiles  = "__cloud_filedir"
	bashFilesBody = `
__cloud_filedir()
{
    if declare -F _filedir >/dev/null 2>&1; then
        _filedir "$@"
        return
    fi
    local file
    compopt -o filenames 2>/dev/null
    while IFS= read -r file; do
        [[ -d $file || $1 != -d && (-z ${1-} || $file =~ \.($1)$) ]] && COMPREPLY+=("$file")
    done < <(compgen -f -- "$cur")
}
`
)

// bashCompletion writes the completion script, which also works without the package
// bash-completion.
func bashCompletion(root *cobra.Command, w io.Writer) error {
	var script bytes.Buffer
	if err := root.GenBashCompletionV2(&script, true); err != nil {
		return err
	}
	text := script.Bytes()
	if bytes.Count(text, []byte(bashWords)) != 1 || !bytes.Contains(text, []byte(bashFiles)) {
		return errors.New("the script for bash is not as it is known")
	}
	text = bytes.ReplaceAll(text, []byte(bashFiles), []byte(bashOwnFiles))
	text = bytes.Replace(text, []byte(bashWords), []byte(bashOwnWords), 1)
	head, rest, _ := bytes.Cut(text, []byte("\n"))
	_, err := w.Write(bytes.Join([][]byte{head, []byte(bashFilesBody), rest}, []byte("\n")))
	return err
}

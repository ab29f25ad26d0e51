package serve

import "github.com/elastipod/elastipod/internal/strict"

// fieldNames are the fields of a part of the file.
var fieldNames = strict.FieldNames

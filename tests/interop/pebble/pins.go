//go:build tools

// Pebble, Let's Encrypt's CA for tests, pinned by go.mod.
package pebble

import _ "github.com/letsencrypt/pebble/v2/cmd/pebble"

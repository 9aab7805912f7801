//go:build tools

// wireguard-go with its offloads, pinned by go.mod.
package wireguard

import _ "golang.zx2c4.com/wireguard"

module tsnet-shim/apps/goweb

go 1.21

// testcontrol serves Tailscale's own test control server (the one that its
// integration tests use) on a loopback or private address.
//
//	testcontrol -listen 127.0.0.1:PORT -derp-host 127.0.0.1 -derp-port 8443 -stun-port 3478
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	url := flag.String("url", "", "how nodes call it (http://LISTEN)")
	derpHost6 := flag.String("derp-host6", "none", "DERP server's IPv6 address")
	derpHost := flag.String("derp-host", "127.0.0.1", "DERP server")
	derpPort := flag.Int("derp-port", 8443, "DERP port")
	stunPort := flag.Int("stun-port", 3478, "STUN port")
	domain := flag.String("domain", "tail-scale.ts.net", "MagicDNS suffix")
	flag.Parse()

	server := &testcontrol.Server{
		Verbose:        true,
		MagicDNSDomain: *domain,
		DNSConfig:      &tailcfg.DNSConfig{Proxied: true, Domains: []string{*domain}},
		DERPMap: &tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{
			900: {
				RegionID: 900, RegionCode: "test", RegionName: "Test",
				Nodes: []*tailcfg.DERPNode{{
					Name: "900a", RegionID: 900, HostName: *derpHost,
					IPv4: *derpHost, IPv6: *derpHost6, DERPPort: *derpPort,
					STUNPort: *stunPort, InsecureForTests: true,
				}},
			},
		}},
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	server.ExplicitBaseURL = *url
	if *url == "" {
		server.ExplicitBaseURL = "http://" + listener.Addr().String()
	}
	fmt.Println(server.ExplicitBaseURL)
	log.Fatal(http.Serve(listener, server))
}

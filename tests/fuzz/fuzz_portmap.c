/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_portmap.c - the port mapping, talked to by everybody in any order
 *
 * The input is a list of events: a byte for what happens, a byte for how much
 * of the rest belongs to it. Whatever comes: one HTTP request at a time, to
 * the gateway; bounded packets; no busy loop; only addresses that are of use;
 * and it ends when it is told to.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/path/portmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct world {
	struct ts_portmap p;
	uint64_t now_ms;
	bool has_http, has_mapping;
	unsigned sent;
};

static void udp_send(void *ctx, const struct ts_addr *to, const void *data,
		     size_t len)
{
	struct world *w = ctx;

	(void)to;
	(void)data;
	if (len > 200)
		abort();
	w->sent++;
}

static void http(void *ctx, const char *url, const struct ts_igd_request *rq,
		 unsigned timeout_ms)
{
	struct world *w = ctx;

	if (w->has_http || timeout_ms == 0 ||
	    strncmp(url, "http://192.168.", 15) != 0 ||
	    (rq && strlen(rq->body) + 1 == sizeof(rq->body)))
		abort();
	w->has_http = true;
}

static void http_cancel(void *ctx)
{
	struct world *w = ctx;

	w->has_http = false;
}

static void changed(void *ctx, const struct ts_addr *external)
{
	struct world *w = ctx;

	if (external && (external->port == 0 ||
			 ts_ip_is_unspecified(&external->ip) ||
			 ts_ip_is_loopback(&external->ip)))
		abort();
	if (!external && !w->has_mapping)
		abort();
	w->has_mapping = external != NULL;
}

static void found(void *ctx, const struct ts_portmap_found *f)
{
	(void)ctx;
	(void)f;
}

static const struct ts_portmap_ops ops = {
	.udp_send = udp_send,
	.http = http,
	.http_cancel = http_cancel,
	.changed = changed,
	.found = found,
};

static void pass(struct world *w, uint64_t ms)
{
	uint64_t end_ms = w->now_ms + ms;
	unsigned steps = 0;

	while (ts_portmap_deadline_ms(&w->p) <= end_ms) {
		if (ts_portmap_deadline_ms(&w->p) > w->now_ms)
			w->now_ms = ts_portmap_deadline_ms(&w->p);
		ts_portmap_tick(&w->p, w->now_ms);
		if (++steps > 10000)
			abort();
	}
	w->now_ms = end_ms;
}

static void set_network(struct world *w, uint8_t which)
{
	struct ts_portmap_network n = {.port = 41641};

	n.gateway = ts_ip_from_v4_host(0xc0a80100u | which);
	n.own = ts_ip_from_v4_host(0xc0a80002u);
	if (which == 0)
		n.gateway = TS_IP_ZERO;
	ts_portmap_set_network(&w->p, &n, w->now_ms);
}

static void input(struct world *w, uint16_t port, const uint8_t *data,
		  size_t len)
{
	struct ts_addr from = {.ip = w->p.network.gateway, .port = port};

	ts_portmap_input(&w->p, &from, data, len, w->now_ms);
}

static void happen(struct world *w, uint8_t what, const uint8_t *data,
		   size_t len)
{
	switch (what % 8) {
	case 0:
	case 1:
		input(w, PXP_PORT, data, len);
		break;
	case 2:
		input(w, SSDP_PORT, data, len);
		break;
	case 3:
	case 4:
		if (!w->has_http)
			break;
		w->has_http = false;
		ts_portmap_http_done(&w->p, what & 8 ? 500 : 200,
				     (const char *)data, len, w->now_ms);
		break;
	case 5:
		pass(w, 1ull << (what >> 3) % 25); /* up to 4.6 hours */
		break;
	case 6:
		set_network(w, what >> 6);
		break;
	case 7:
		ts_portmap_allow_upnp(&w->p, what & 8, w->now_ms);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_reader r = ts_reader_init(data, len);
	struct world w = {.now_ms = 1000};

	ts_portmap_init(&w.p, &ops, &w);
	memset(w.p.nonce, 0, sizeof(w.p.nonce)); /* a gateway would know it */
	set_network(&w, 1);
	while (r.left >= 2) {
		uint8_t what = ts_read_u8(&r);
		size_t n = 4u * ts_read_u8(&r);

		n = n < r.left ? n : r.left;
		happen(&w, what, ts_read_view(&r, n), n);
		if (w.sent > 100000)
			abort();
	}
	ts_portmap_release(&w.p, w.now_ms);
	pass(&w, UPNP_DELETE_MS);
	if (!ts_portmap_is_released(&w.p) || w.has_mapping)
		abort();
	return 0;
}

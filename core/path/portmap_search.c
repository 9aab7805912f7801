/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_search.c - what the gateway speaks, and which of it is tried
 *
 * A search is five small packets. NAT-PMP is taken as soon as it answers, PCP
 * when NAT-PMP stays silent for a moment, UPnP when both do; one that refuses
 * is followed by the next. Nobody there: the search is repeated after one
 * minute, and then ever more rarely.
 * Source: net/portmapper/portmapper.go (Probe, createOrGetMapping)
 */
#include "core/path/portmap_internal.h"

#include <string.h>

/* -- what is there -------------------------------------------------------- */

void portmap_tell_found(struct ts_portmap *p)
{
	if (memcmp(&p->told, &p->found, sizeof(p->told)) == 0)
		return;
	p->told = p->found;
	p->ops->found(p->ctx, &p->found);
}

void portmap_note_found(struct ts_portmap *p, enum ts_portmap_kind kind,
			enum ts_tristate value)
{
	p->found.by_kind[kind] = value;
	if (p->window_is_over)
		portmap_tell_found(p);
}

void portmap_end_window(struct ts_portmap *p)
{
	for (size_t i = 0; i < PORTMAP_KINDS; i++)
		if (p->found.by_kind[i] == TS_UNKNOWN)
			p->found.by_kind[i] = TS_NO;
	p->window_is_over = true;
	portmap_tell_found(p);
}

/* -- the search ----------------------------------------------------------- */

static void search_upnp(struct ts_portmap *p)
{
	struct ts_addr gateway = {.ip = p->network.gateway, .port = SSDP_PORT};
	struct ts_addr group = {.ip = TS_SSDP_MULTICAST, .port = SSDP_PORT};
	const char *all = ts_ssdp_search(false);
	const char *gateways = ts_ssdp_search(true);

	/* The gateway first: a firewall then lets its answers to the others
	 * in. */
	p->ops->udp_send(p->ctx, &gateway, all, strlen(all));
	p->ops->udp_send(p->ctx, &group, all, strlen(all));
	p->ops->udp_send(p->ctx, &group, gateways, strlen(gateways));
}

void portmap_probe(struct ts_portmap *p, uint64_t now_ms)
{
	uint8_t pmp[PMP_EXTERNAL_REQUEST_LEN];
	uint8_t pcp[PCP_ANNOUNCE_REQUEST_LEN];

	portmap_set_state(p, PORTMAP_PROBING, now_ms + PORTMAP_PROBE_MS);
	p->probed_ms = now_ms;
	p->window_is_over = false;
	memset(&p->found, 0, sizeof(p->found));
	memset(p->was_tried, 0, sizeof(p->was_tried));
	p->pmp_ip = TS_IP_ZERO;
	ts_upnp_reset(&p->upnp, &p->network.gateway);
	for (int i = 0; i < PORTMAP_KINDS; i++)
		if (p->is_off[i])
			p->found.by_kind[i] = TS_NO;
	if (!p->is_off[PORTMAP_PMP])
		portmap_send(p, pmp, ts_pmp_write_external(pmp));
	if (!p->is_off[PORTMAP_PCP])
		portmap_send(p, pcp,
			     ts_pcp_write_announce(&p->network.own, pcp));
	if (!p->is_off[PORTMAP_UPNP])
		search_upnp(p);
}

void portmap_rest(struct ts_portmap *p, uint64_t now_ms)
{
	uint64_t rest_ms = PORTMAP_REST_MS;

	for (unsigned i = 0; i < p->failures && rest_ms < PORTMAP_REST_MAX_MS;
	     i++)
		rest_ms *= 2;
	if (rest_ms > PORTMAP_REST_MAX_MS)
		rest_ms = PORTMAP_REST_MAX_MS;
	p->failures++;
	portmap_set_state(p, PORTMAP_RESTING, now_ms + rest_ms);
}

static void ask_upnp(struct ts_portmap *p, uint64_t now_ms)
{
	p->kind = PORTMAP_UPNP;
	p->is_asked_for = true;
	portmap_set_state(p, PORTMAP_ASKING_UPNP, UINT64_MAX);
	ts_upnp_create(&p->upnp, &p->network.own, p->network.port,
		       p->external.port, PORTMAP_LIFETIME_S, now_ms);
}

void portmap_ask(struct ts_portmap *p, enum ts_portmap_kind kind,
		 uint64_t now_ms)
{
	p->was_tried[kind] = true;
	if (kind == PORTMAP_UPNP) {
		ask_upnp(p, now_ms);
		return;
	}
	p->kind = kind;
	p->is_asked_for = true;
	portmap_set_state(p, PORTMAP_ASKING, portmap_pxp_ask(p, now_ms));
}

/* The kinds are in the order in which they are preferred. */
void portmap_ask_next(struct ts_portmap *p, uint64_t now_ms)
{
	for (int i = 0; i < PORTMAP_KINDS; i++) {
		if (p->found.by_kind[i] == TS_YES && !p->was_tried[i]) {
			portmap_ask(p, (enum ts_portmap_kind)i, now_ms);
			return;
		}
	}
	portmap_rest(p, now_ms);
}

/* The moment that was waited for, or an answer that may end the waiting. */
void portmap_look_at_probe(struct ts_portmap *p, uint64_t now_ms)
{
	uint64_t ssdp_end_ms = p->probed_ms + PORTMAP_SSDP_MS;

	if (p->found.by_kind[PORTMAP_PMP] == TS_YES &&
	    !p->was_tried[PORTMAP_PMP]) {
		portmap_ask_next(p, now_ms);
		return;
	}
	if (now_ms < p->timer_ms)
		return;
	if (p->found.by_kind[PORTMAP_PCP] != TS_YES &&
	    p->found.by_kind[PORTMAP_UPNP] != TS_YES &&
	    !p->is_off[PORTMAP_UPNP] && now_ms < ssdp_end_ms)
		p->timer_ms = ssdp_end_ms;
	else
		portmap_ask_next(p, now_ms);
}

void portmap_answered(struct ts_portmap *p, uint64_t now_ms)
{
	uint64_t more_ms = now_ms + PORTMAP_MORE_MS;

	/* One had refused, and all others seemed to be silent. */
	if (p->state == PORTMAP_RESTING &&
	    now_ms <= p->probed_ms + PORTMAP_SSDP_MS) {
		p->failures--;
		portmap_set_state(p, PORTMAP_PROBING, more_ms);
	}
	if (p->state != PORTMAP_PROBING)
		return;
	/* UPnP alone: the two others may still come within their time. */
	if (p->found.by_kind[PORTMAP_PCP] != TS_YES &&
	    more_ms < p->probed_ms + PORTMAP_PROBE_MS)
		more_ms = p->probed_ms + PORTMAP_PROBE_MS;
	if (more_ms < p->timer_ms)
		p->timer_ms = more_ms;
	portmap_look_at_probe(p, now_ms);
}

void portmap_input_ssdp(struct ts_portmap *p, const struct ts_ip *from,
			const uint8_t *pkt, size_t len, uint64_t now_ms)
{
	struct ts_ssdp_device device;

	if (now_ms > p->probed_ms + PORTMAP_SSDP_MS ||
	    ts_ssdp_read_answer(pkt, len, &device) != 0)
		return;
	if (p->state == PORTMAP_ASKING_UPNP || p->state == PORTMAP_RELEASING)
		return; /* the list is in use */
	device.is_gateway = ts_ip_equal(from, &p->network.gateway);
	ts_ssdp_add(&p->upnp.devices, &device);
	portmap_note_found(p, PORTMAP_UPNP, TS_YES);
	portmap_answered(p, now_ms);
}

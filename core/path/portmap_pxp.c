/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_pxp.c - the conversation by NAT-PMP and PCP
 *
 * A NAT-PMP mapping is two answers, the address and the port, in either order;
 * PCP's is one, which has to carry our nonce. Of what comes from the gateway's
 * port only what answers the question under way counts, but its epoch always.
 * Source: RFC 6886, RFC 6887; PROTOCOL 7.4
 */
#include "core/path/portmap_internal.h"

#include <stdio.h>
#include <string.h>

enum { ASK_MS = 250, EPOCH_SLACK_S = 2 };

/* -- requests ------------------------------------------------------------- */

static void send_pmp_map(struct ts_portmap *p, uint16_t external_port,
			 uint32_t lifetime_s)
{
	uint8_t pkt[PMP_MAP_REQUEST_LEN];

	portmap_send(p, pkt,
		     ts_pmp_write_map(p->network.port, external_port,
				      lifetime_s, pkt));
}

static void send_pmp_external(struct ts_portmap *p)
{
	uint8_t pkt[PMP_EXTERNAL_REQUEST_LEN];

	portmap_send(p, pkt, ts_pmp_write_external(pkt));
}

static void send_pcp_map(struct ts_portmap *p, uint32_t lifetime_s)
{
	uint8_t pkt[PCP_MAP_REQUEST_LEN];
	struct ts_pcp_map map = {
		.client = p->network.own,
		.internal_port = p->network.port,
		.external = p->external,
		.lifetime_s = lifetime_s,
	};

	memcpy(map.nonce, p->nonce, sizeof(map.nonce));
	portmap_send(p, pkt, ts_pcp_write_map(&map, pkt));
}

static void send_ask(struct ts_portmap *p)
{
	if (p->kind == PORTMAP_PCP) {
		send_pcp_map(p, PORTMAP_LIFETIME_S);
		return;
	}
	if (ts_ip_is_zero(&p->pmp_ip))
		send_pmp_external(p);
	if (!p->has_pmp_map)
		send_pmp_map(p, p->external.port, PORTMAP_LIFETIME_S);
}

uint64_t portmap_pxp_ask(struct ts_portmap *p, uint64_t now_ms)
{
	p->tries = 1;
	p->has_pmp_map = false;
	if (p->has_mapping) /* the address may be another one by now */
		p->pmp_ip = TS_IP_ZERO;
	send_ask(p);
	return now_ms + ASK_MS;
}

void portmap_pxp_ask_again(struct ts_portmap *p, uint64_t now_ms)
{
	if (p->tries == PORTMAP_ASK_TRIES) {
		portmap_refused(p, "no answer", now_ms);
		return;
	}
	p->timer_ms = now_ms + ((uint64_t)ASK_MS << p->tries);
	p->tries++;
	send_ask(p);
}

static void send_release(struct ts_portmap *p)
{
	if (p->kind == PORTMAP_PCP)
		send_pcp_map(p, 0);
	else
		send_pmp_map(p, 0, 0);
}

uint64_t portmap_pxp_release(struct ts_portmap *p, uint64_t now_ms)
{
	p->tries = 1;
	send_release(p);
	return now_ms + PORTMAP_RELEASE_MS;
}

void portmap_pxp_release_again(struct ts_portmap *p, uint64_t now_ms)
{
	if (p->tries == PORTMAP_RELEASE_TRIES) {
		portmap_released(p, now_ms);
		return;
	}
	p->timer_ms = now_ms + PORTMAP_RELEASE_MS;
	p->tries++;
	send_release(p);
}

void portmap_pxp_check(struct ts_portmap *p)
{
	uint8_t pkt[PCP_ANNOUNCE_REQUEST_LEN];

	if (p->kind == PORTMAP_PCP)
		portmap_send(p, pkt,
			     ts_pcp_write_announce(&p->network.own, pkt));
	else
		send_pmp_external(p);
}

/* -- the epoch ------------------------------------------------------------ */

/* RFC 6886, 3.6: less than seven eighths of our own time went by there. */
static bool went_back(uint64_t was_s, uint64_t is_s, uint64_t passed_s)
{
	return is_s + EPOCH_SLACK_S < was_s + passed_s * 7 / 8;
}

/* RFC 6887, 8.5: the two clocks differ by more than a sixteenth. */
static bool runs_otherwise(uint64_t was_s, uint64_t is_s, uint64_t passed_s)
{
	uint64_t there_s = is_s - was_s;

	if (is_s + 1 < was_s)
		return true;
	if (is_s < was_s)
		there_s = 0;
	return passed_s + EPOCH_SLACK_S < there_s - there_s / 16 ||
	       there_s + EPOCH_SLACK_S < passed_s - passed_s / 16;
}

/* Takes note of it; true: the gateway has lost its mappings since. */
static bool epoch_is_new(struct ts_portmap *p, enum ts_portmap_kind kind,
			 uint32_t epoch_s, uint64_t now_ms)
{
	struct ts_portmap_epoch *e = &p->epochs[kind];
	struct ts_portmap_epoch was = *e;
	uint64_t passed_s = (now_ms - was.at_ms) / 1000;

	*e = (struct ts_portmap_epoch){
		.is_known = true, .epoch_s = epoch_s, .at_ms = now_ms};
	if (!was.is_known)
		return false;
	return kind == PORTMAP_PMP
		       ? went_back(was.epoch_s, epoch_s, passed_s)
		       : runs_otherwise(was.epoch_s, epoch_s, passed_s);
}

/* -- answers -------------------------------------------------------------- */

static bool is_asking(const struct ts_portmap *p, enum ts_portmap_kind kind)
{
	return p->state == PORTMAP_ASKING && p->kind == kind;
}

static bool is_releasing(const struct ts_portmap *p, enum ts_portmap_kind kind)
{
	return p->state == PORTMAP_RELEASING && p->kind == kind;
}

static void refused_with(struct ts_portmap *p, unsigned result,
			 uint64_t now_ms)
{
	char why[32];

	snprintf(why, sizeof(why), "result %u", result);
	portmap_refused(p, why, now_ms);
}

static void finish_pmp(struct ts_portmap *p, uint64_t now_ms)
{
	struct ts_addr external = {.ip = p->pmp_ip,
				   .port = p->pmp_map.external.port};

	if (is_asking(p, PORTMAP_PMP) && p->has_pmp_map &&
	    !ts_ip_is_zero(&p->pmp_ip))
		portmap_granted(p, &external, p->pmp_map.lifetime_s, now_ms);
}

/* A gateway without an address of its own has none to map. */
static void input_pmp_external(struct ts_portmap *p,
			       const struct ts_pxp_response *r, uint64_t now_ms)
{
	bool is_there = r->result == PMP_SUCCESS &&
			!ts_ip_is_unspecified(&r->external.ip);

	portmap_note_found(p, PORTMAP_PMP, is_there ? TS_YES : TS_NO);
	if (is_there && p->kind == PORTMAP_PMP &&
	    !ts_ip_equal(&r->external.ip, &p->external.ip))
		portmap_doubt(p, "the gateway has another address", now_ms);
	if (is_there) {
		p->pmp_ip = r->external.ip;
		portmap_answered(p, now_ms);
		finish_pmp(p, now_ms);
	} else if (is_asking(p, PORTMAP_PMP)) {
		refused_with(p, r->result, now_ms);
	}
}

static void input_pmp_map(struct ts_portmap *p, const struct ts_pxp_response *r,
			  uint64_t now_ms)
{
	bool is_ours = r->internal_port == p->network.port;

	if (is_releasing(p, PORTMAP_PMP)) {
		if (r->result != PMP_SUCCESS ||
		    (is_ours && r->lifetime_s == 0))
			portmap_released(p, now_ms);
	} else if (is_asking(p, PORTMAP_PMP) && r->result != PMP_SUCCESS) {
		refused_with(p, r->result, now_ms);
	} else if (is_asking(p, PORTMAP_PMP) && is_ours) {
		p->pmp_map = *r;
		p->has_pmp_map = true;
		finish_pmp(p, now_ms);
	}
}

static void input_pcp_announce(struct ts_portmap *p,
			       const struct ts_pxp_response *r, uint64_t now_ms)
{
	bool is_there = r->result == PCP_SUCCESS;

	portmap_note_found(p, PORTMAP_PCP, is_there ? TS_YES : TS_NO);
	if (is_there)
		portmap_answered(p, now_ms);
}

static void input_pcp_map(struct ts_portmap *p, const struct ts_pxp_response *r,
			  uint64_t now_ms)
{
	if (memcmp(r->nonce, p->nonce, sizeof(p->nonce)) != 0 ||
	    r->internal_port != p->network.port)
		return;
	if (is_releasing(p, PORTMAP_PCP)) {
		if (r->result != PCP_SUCCESS || r->lifetime_s == 0)
			portmap_released(p, now_ms);
	} else if (is_asking(p, PORTMAP_PCP) && r->result != PCP_SUCCESS) {
		refused_with(p, r->result, now_ms);
	} else if (is_asking(p, PORTMAP_PCP)) {
		portmap_granted(p, &r->external, r->lifetime_s, now_ms);
	}
}

/* One who speaks NAT-PMP only says so when it is asked by PCP, and the other
 * way round: that is no answer to the question in its own language. */
static bool input_unsupported(struct ts_portmap *p,
			      const struct ts_pxp_response *r, uint64_t now_ms)
{
	bool is_pmp = r->kind == PMP_EXTERNAL || r->kind == PMP_MAP;

	if (r->result != PMP_UNSUPPORTED_VERSION)
		return false;
	if (is_asking(p, is_pmp ? PORTMAP_PCP : PORTMAP_PMP))
		portmap_refused(p, "the gateway speaks another version",
				now_ms);
	return true;
}

void portmap_pxp_input(struct ts_portmap *p,
		       const struct ts_pxp_response *r, uint64_t now_ms)
{
	bool is_pmp = r->kind == PMP_EXTERNAL || r->kind == PMP_MAP;
	enum ts_portmap_kind kind = is_pmp ? PORTMAP_PMP : PORTMAP_PCP;

	if (input_unsupported(p, r, now_ms))
		return;
	if (epoch_is_new(p, kind, r->epoch_s, now_ms) && kind == p->kind)
		portmap_doubt(p, "the gateway has started anew", now_ms);
	switch (r->kind) {
	case PMP_EXTERNAL:
		input_pmp_external(p, r, now_ms);
		break;
	case PMP_MAP:
		input_pmp_map(p, r, now_ms);
		break;
	case PCP_ANNOUNCE:
		input_pcp_announce(p, r, now_ms);
		break;
	case PCP_MAP:
		input_pcp_map(p, r, now_ms);
		break;
	}
}

/* SPDX-License-Identifier: BSD-3-Clause
 * portmap.c - a UDP port of the gateway that is ours: its life
 *
 *   OFF -> PROBING -> ASKING (NAT-PMP, else PCP) -> HELD -> ASKING (renew) ...
 *             |    -> ASKING_UPNP (where both are silent or refuse)
 *             +----> RESTING -> PROBING
 *   any -> RELEASING -> OFF, or PROBING in the next network
 *
 * A mapping is renewed at half of its life, then at half of what is left. It
 * is published until it has run out, or another one takes its place. Replies
 * and announcements carry the gateway's epoch; when that went backwards, the
 * gateway has forgotten us, and is asked again at once (RFC 6886, 3.6 and 3.7;
 * RFC 6887, 8.5). As announcements get lost, it is asked for every two minutes.
 * UPnP has none of that, and is renewed every ten.
 *
 * The gateway is believed in what concerns it: where we can be reached. What
 * it says cannot make us send more than a packet a second on average, nor keep
 * more than a few kilobytes. Who forges its datagrams by the thousand has one
 * line of the log a minute, and what they make us do has none.
 */
#include "core/path/portmap_internal.h"

#include <string.h>

#include "core/base/log.h"
#include "core/crypto/secret.h"

const char *ts_portmap_kind_name(enum ts_portmap_kind kind)
{
	static const char *const names[] = {
		[PORTMAP_PMP] = "nat-pmp",
		[PORTMAP_PCP] = "pcp",
		[PORTMAP_UPNP] = "upnp",
	};

	return names[kind];
}

void portmap_set_state(struct ts_portmap *p, enum ts_portmap_state next,
		       uint64_t timer_ms)
{
	static const char *const names[] = {
		[PORTMAP_OFF] = "off",
		[PORTMAP_PROBING] = "probing",
		[PORTMAP_ASKING] = "asking",
		[PORTMAP_ASKING_UPNP] = "asking by upnp",
		[PORTMAP_HELD] = "held",
		[PORTMAP_RESTING] = "resting",
		[PORTMAP_RELEASING] = "releasing",
	};

	if (next != p->state)
		log_debug("portmap: %s -> %s", names[p->state], names[next]);
	p->state = next;
	p->timer_ms = timer_ms;
}

void portmap_send(struct ts_portmap *p, const void *data, size_t len)
{
	struct ts_addr to = {.ip = p->network.gateway, .port = PXP_PORT};

	p->ops->udp_send(p->ctx, &to, data, len);
}

/* -- floods --------------------------------------------------------------- */

static enum ts_portmap_kind kind_of(const struct ts_addr *from,
				    const uint8_t *pkt, size_t len)
{
	if (from->port != PXP_PORT)
		return PORTMAP_UPNP;
	return len > 0 && pkt[0] == PCP_VERSION ? PORTMAP_PCP : PORTMAP_PMP;
}

static void count_input(struct ts_portmap *p, enum ts_portmap_kind kind,
			const struct ts_addr *from, uint64_t now_ms)
{
	uint64_t count = ts_flood_count(&p->floods[kind], PORTMAP_FLOOD_PER_S,
					now_ms);
	char text[TS_ADDR_TEXT_CAP];

	if (count)
		log_warn("portmap: flood of answers by %s: %llu, the last "
			 "from %s", ts_portmap_kind_name(kind),
			 (unsigned long long)count, ts_addr_format(from, text));
}

/* Whoever floods us may cause every line about that kind. */
static bool may_tell(const struct ts_portmap *p)
{
	return !p->floods[p->kind].is_on;
}

/* -- the mapping ---------------------------------------------------------- */

static void plan_held(struct ts_portmap *p)
{
	uint64_t at_ms = p->renew_ms;

	if (p->kind != PORTMAP_UPNP && p->check_ms < at_ms)
		at_ms = p->check_ms;
	portmap_set_state(p, PORTMAP_HELD, at_ms);
}

static void hold(struct ts_portmap *p, const struct ts_addr *external,
		 uint32_t lifetime_s, uint64_t now_ms)
{
	bool is_news = !p->has_mapping ||
		       !ts_addr_equal(external, &p->external);
	uint64_t life_ms = (uint64_t)lifetime_s * 1000;
	char text[TS_ADDR_TEXT_CAP];

	if (p->has_mapping)
		p->failures = 0;
	p->has_mapping = true;
	p->external = *external;
	p->until_ms = now_ms + life_ms;
	p->renew_ms = now_ms + life_ms / 2;
	if (p->renew_ms < now_ms + PORTMAP_RENEW_MIN_MS)
		p->renew_ms = now_ms + PORTMAP_RENEW_MIN_MS;
	if (p->kind == PORTMAP_UPNP)
		p->renew_ms = now_ms + PORTMAP_UPNP_CHECK_MS;
	p->check_ms = now_ms + PORTMAP_CHECK_MS;
	plan_held(p);
	if (!is_news)
		return;
	if (may_tell(p))
		log_info("portmap: %s maps %s to us for %u s",
			 ts_portmap_kind_name(p->kind),
			 ts_addr_format(external, text), lifetime_s);
	p->ops->changed(p->ctx, external);
}

static void lose(struct ts_portmap *p)
{
	char text[TS_ADDR_TEXT_CAP];

	if (!p->has_mapping)
		return;
	if (may_tell(p))
		log_info("portmap: %s is no longer ours",
			 ts_addr_format(&p->external, text));
	p->has_mapping = false;
	p->ops->changed(p->ctx, NULL);
}

/* A mapping that stands is asked for again when half of what is left is over;
 * without one the next kind is tried. */
void portmap_refused(struct ts_portmap *p, const char *why, uint64_t now_ms)
{
	uint64_t left_ms;

	if (may_tell(p) && ts_log_allowed(&p->limit, now_ms))
		log_info("portmap: %s gives us no port: %s",
			 ts_portmap_kind_name(p->kind), why);
	if (!p->has_mapping) {
		portmap_ask_next(p, now_ms);
		return;
	}
	left_ms = p->until_ms > now_ms ? p->until_ms - now_ms : 0;
	p->renew_ms = now_ms + (left_ms / 2 < PORTMAP_RENEW_MIN_MS
					? PORTMAP_RENEW_MIN_MS : left_ms / 2);
	p->check_ms = UINT64_MAX; /* it does not answer */
	plan_held(p);
}

void portmap_granted(struct ts_portmap *p, const struct ts_addr *external,
		     uint32_t lifetime_s, uint64_t now_ms)
{
	if (lifetime_s > PORTMAP_LIFETIME_S)
		lifetime_s = PORTMAP_LIFETIME_S;
	if (lifetime_s < PORTMAP_LIFETIME_MIN_S) {
		portmap_refused(p, "its lifetime is too short", now_ms);
	} else if (external->port == 0 || !ts_igd_ip_is_usable(&external->ip)) {
		if (p->kind != PORTMAP_UPNP && !p->has_mapping)
			portmap_pxp_release(p, now_ms); /* once will do */
		portmap_refused(p, "nobody could use its address", now_ms);
	} else {
		hold(p, external, lifetime_s, now_ms);
	}
}

void portmap_doubt(struct ts_portmap *p, const char *why, uint64_t now_ms)
{
	if (p->state != PORTMAP_HELD ||
	    now_ms < p->doubted_ms + PORTMAP_RENEW_MIN_MS)
		return;
	if (may_tell(p))
		log_info("portmap: %s", why);
	p->doubted_ms = now_ms;
	portmap_ask(p, p->kind, now_ms);
}

/* The port that we had is asked for again. */
static void expire(struct ts_portmap *p, uint64_t now_ms)
{
	lose(p);
	if (p->state == PORTMAP_ASKING || p->state == PORTMAP_ASKING_UPNP)
		return; /* already under way */
	p->is_asked_for = false;
	if (p->failures++ == 0)
		portmap_probe(p, now_ms);
	else
		portmap_rest(p, now_ms);
}

static void on_upnp_created(void *ctx, int err, const struct ts_addr *external,
			    uint64_t now_ms)
{
	struct ts_portmap *p = ctx;

	if (p->state != PORTMAP_ASKING_UPNP)
		return;
	if (err)
		portmap_refused(p, "no device that does", now_ms);
	else
		portmap_granted(p, external, PORTMAP_LIFETIME_S, now_ms);
}

/* -- the end of it -------------------------------------------------------- */

static void begin_network(struct ts_portmap *p, uint64_t now_ms)
{
	bool has_gateway = !ts_ip_is_zero(&p->next.gateway);

	p->network = p->next;
	p->is_asked_for = false;
	p->external = (struct ts_addr){0};
	p->failures = 0;
	memset(p->epochs, 0, sizeof(p->epochs));
	if (has_gateway && !p->is_closing) {
		portmap_probe(p, now_ms);
		return;
	}
	memset(&p->found, 0, sizeof(p->found));
	portmap_set_state(p, PORTMAP_OFF, UINT64_MAX);
	if (!p->is_closing)
		portmap_tell_found(p);
}

void portmap_released(struct ts_portmap *p, uint64_t now_ms)
{
	begin_network(p, now_ms);
}

static void on_upnp_deleted(void *ctx, uint64_t now_ms)
{
	struct ts_portmap *p = ctx;

	if (p->state == PORTMAP_RELEASING)
		portmap_released(p, now_ms);
}

/* What we asked for may exist, whether it was granted or not. */
static void release(struct ts_portmap *p, uint64_t now_ms)
{
	if (p->state == PORTMAP_RELEASING)
		return;
	lose(p);
	if (!p->is_asked_for) {
		begin_network(p, now_ms);
		return;
	}
	if (p->kind != PORTMAP_UPNP) {
		portmap_set_state(p, PORTMAP_RELEASING,
				  portmap_pxp_release(p, now_ms));
		return;
	}
	portmap_set_state(p, PORTMAP_RELEASING, UINT64_MAX);
	ts_upnp_delete(&p->upnp, now_ms);
}

void ts_portmap_release(struct ts_portmap *p, uint64_t now_ms)
{
	p->is_closing = true;
	memset(&p->next, 0, sizeof(p->next));
	if (p->state != PORTMAP_OFF)
		release(p, now_ms);
}

bool ts_portmap_is_released(const struct ts_portmap *p)
{
	return p->state == PORTMAP_OFF;
}

/* -- from outside --------------------------------------------------------- */

static void upnp_http(void *ctx, const char *url,
		      const struct ts_igd_request *request, unsigned timeout_ms)
{
	struct ts_portmap *p = ctx;

	p->ops->http(p->ctx, url, request, timeout_ms);
}

static void upnp_http_cancel(void *ctx)
{
	struct ts_portmap *p = ctx;

	p->ops->http_cancel(p->ctx);
}

static const struct ts_upnp_ops upnp_ops = {
	.http = upnp_http,
	.http_cancel = upnp_http_cancel,
	.created = on_upnp_created,
	.deleted = on_upnp_deleted,
};

void ts_portmap_init(struct ts_portmap *p, const struct ts_portmap_ops *ops,
		     void *ctx)
{
	*p = (struct ts_portmap){
		.ops = ops, .ctx = ctx, .timer_ms = UINT64_MAX};
	ts_random_bytes(p->nonce, sizeof(p->nonce));
	ts_upnp_init(&p->upnp, &upnp_ops, p);
}

static bool is_same_network(const struct ts_portmap_network *a,
			    const struct ts_portmap_network *b)
{
	return ts_ip_equal(&a->gateway, &b->gateway) &&
	       ts_ip_equal(&a->own, &b->own) && a->port == b->port;
}

/* After a sleep, say: nothing that we know may be true any more. */
static void look_after(struct ts_portmap *p, uint64_t now_ms)
{
	p->failures = 0;
	if (p->state == PORTMAP_HELD)
		portmap_ask(p, p->kind, now_ms);
	else if (p->state == PORTMAP_RESTING)
		portmap_probe(p, now_ms);
}

void ts_portmap_set_network(struct ts_portmap *p,
			    const struct ts_portmap_network *network,
			    uint64_t now_ms)
{
	bool has_gateway = ts_ip_is_v4(&network->gateway) &&
			   ts_ip_is_private(&network->gateway) &&
			   network->port != 0;
	struct ts_portmap_network next = {0};

	if (p->is_closing)
		return;
	if (has_gateway)
		next = *network;
	if (p->state == PORTMAP_RELEASING) {
		p->next = next;
	} else if (is_same_network(&next, &p->network)) {
		look_after(p, now_ms);
	} else {
		p->next = next;
		release(p, now_ms);
	}
}

void ts_portmap_allow_upnp(struct ts_portmap *p, bool allowed, uint64_t now_ms)
{
	if (allowed == !p->is_off[PORTMAP_UPNP])
		return;
	p->is_off[PORTMAP_UPNP] = !allowed;
	if (p->state == PORTMAP_OFF || p->state == PORTMAP_RELEASING)
		return;
	if (p->has_mapping && p->kind != PORTMAP_UPNP)
		return;
	p->next = p->network;
	release(p, now_ms);
}

void ts_portmap_allow_only(struct ts_portmap *p, enum ts_portmap_kind kind)
{
	for (int i = 0; i < PORTMAP_KINDS; i++)
		p->is_off[i] = p->is_off[i] || i != (int)kind;
}

void ts_portmap_input(struct ts_portmap *p, const struct ts_addr *from,
		      const uint8_t *pkt, size_t len, uint64_t now_ms)
{
	enum ts_portmap_kind kind = kind_of(from, pkt, len);
	struct ts_pxp_response response;

	if (p->state == PORTMAP_OFF)
		return;
	count_input(p, kind, from, now_ms);
	if (p->is_off[kind])
		return;
	if (from->port != PXP_PORT)
		portmap_input_ssdp(p, &from->ip, pkt, len, now_ms);
	else if (ts_ip_equal(&from->ip, &p->network.gateway) &&
		 ts_pxp_read_response(pkt, len, &response) == 0)
		portmap_pxp_input(p, &response, now_ms);
}

void ts_portmap_http_done(struct ts_portmap *p, int status, const char *body,
			  size_t len, uint64_t now_ms)
{
	ts_upnp_http_done(&p->upnp, status, body, len, now_ms);
}

uint64_t ts_portmap_deadline_ms(const struct ts_portmap *p)
{
	uint64_t at_ms = p->timer_ms;
	uint64_t upnp_ms = ts_upnp_deadline_ms(&p->upnp);

	if (upnp_ms < at_ms)
		at_ms = upnp_ms;
	if (p->has_mapping && p->until_ms < at_ms)
		at_ms = p->until_ms;
	if (p->state == PORTMAP_OFF || p->window_is_over)
		return at_ms;
	return p->probed_ms + PORTMAP_PROBE_MS < at_ms
		       ? p->probed_ms + PORTMAP_PROBE_MS : at_ms;
}

static void tick_state(struct ts_portmap *p, uint64_t now_ms)
{
	switch (p->state) {
	case PORTMAP_OFF:
	case PORTMAP_ASKING_UPNP:
		break;
	case PORTMAP_PROBING:
		portmap_look_at_probe(p, now_ms);
		break;
	case PORTMAP_ASKING:
		portmap_pxp_ask_again(p, now_ms);
		break;
	case PORTMAP_HELD:
		if (now_ms < p->renew_ms) {
			portmap_pxp_check(p);
			p->check_ms = now_ms + PORTMAP_CHECK_MS;
			plan_held(p);
		} else {
			portmap_ask(p, p->kind, now_ms);
		}
		break;
	case PORTMAP_RESTING:
		portmap_probe(p, now_ms);
		break;
	case PORTMAP_RELEASING:
		portmap_pxp_release_again(p, now_ms);
		break;
	}
}

void ts_portmap_tick(struct ts_portmap *p, uint64_t now_ms)
{
	if (p->state != PORTMAP_OFF && !p->window_is_over &&
	    now_ms >= p->probed_ms + PORTMAP_PROBE_MS)
		portmap_end_window(p);
	ts_upnp_tick(&p->upnp, now_ms);
	if (now_ms >= p->timer_ms)
		tick_state(p, now_ms);
	if (p->has_mapping && now_ms >= p->until_ms)
		expire(p, now_ms);
}

/* SPDX-License-Identifier: BSD-3-Clause
 * flood_stranger.c - messages of somebody who is no member of the tailnet
 */
#include <string.h>

#include "core/base/wire.h"
#include "core/crypto/secret.h"
#include "core/path/disco_wire.h"
#include "core/path/stun.h"
#include "tests/flood/flood.h"

enum { NOISE_MAX = 1400, DISCO_BODY_LEN = 46 };

/* The first MAC is right, so it costs the node an X25519 to find out that
 * nobody it knows has made it. */
static size_t initiation(struct flood_stranger *s, uint8_t *out)
{
	struct ts_wg_initiation msg;

	ts_random_bytes(&msg, sizeof(msg));
	ts_wg_write_initiation(&msg, out);
	ts_wg_macs_add(&s->jar, out, WG_INITIATION_LEN, 0);
	return WG_INITIATION_LEN;
}

static size_t without_mac(struct flood_stranger *s, uint8_t *out)
{
	struct ts_wg_initiation msg;

	(void)s;
	ts_random_bytes(&msg, sizeof(msg));
	ts_wg_write_initiation(&msg, out);
	return WG_INITIATION_LEN;
}

static size_t transport(struct flood_stranger *s, uint8_t *out)
{
	size_t len = WG_KEEPALIVE_LEN + ts_random_below(80) * 16;
	struct ts_wg_transport msg = {.receiver = ts_random_u32()};

	(void)s;
	ts_random_bytes(out, len);
	ts_wg_write_transport(&msg, out);
	return len;
}

static size_t disco(const struct ts_public_key *sender, uint8_t *out)
{
	struct ts_box box;
	uint8_t body[DISCO_BODY_LEN] = {DISCO_PING};
	struct ts_writer w = ts_writer_init(out, FLOOD_DATAGRAM_CAP);

	ts_random_bytes(&box, sizeof(box)); /* nobody's */
	ts_random_bytes(body + 2, sizeof(body) - 2);
	ts_disco_seal(&w, sender, &box, body, sizeof(body));
	return w.len;
}

static size_t unknown_disco(struct flood_stranger *s, uint8_t *out)
{
	struct ts_public_key sender;

	(void)s;
	ts_random_bytes(&sender, sizeof(sender));
	return disco(&sender, out);
}

static size_t forged_disco(struct flood_stranger *s, uint8_t *out)
{
	return disco(&s->opt->known_disco, out);
}

static size_t stun(struct flood_stranger *s, uint8_t *out)
{
	struct ts_addr seen = s->opt->to;
	uint8_t tx_id[STUN_TX_ID_LEN];

	ts_random_bytes(tx_id, sizeof(tx_id));
	return ts_stun_write_response(tx_id, &seen, out);
}

static size_t geneve(struct flood_stranger *s, uint8_t *out)
{
	struct ts_geneve header = {
		.control = ts_random_below(2),
		.proto = ts_random_below(2) ? GENEVE_PROTO_DISCO
					    : GENEVE_PROTO_WIREGUARD,
		.vni = 1 + ts_random_below(DISCO_VNI_MAX),
	};
	struct ts_writer w = ts_writer_init(out, DISCO_GENEVE_LEN);

	ts_geneve_write(&w, &header);
	return w.len + unknown_disco(s, out + w.len);
}

/* Of any length, and mostly of no kind at all. */
static size_t noise(struct flood_stranger *s, uint8_t *out)
{
	size_t len = ts_random_below(NOISE_MAX);

	(void)s;
	ts_random_bytes(out, len);
	return len;
}

static const struct {
	const char *name;
	flood_make_fn make;
} kinds[] = {
	{"initiations", initiation},  {"without-mac", without_mac},
	{"transport", transport},     {"unknown-disco", unknown_disco},
	{"forged-disco", forged_disco}, {"stun", stun},
	{"geneve", geneve},	      {"noise", noise},
};

flood_make_fn flood_stranger_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(name, kinds[i].name))
			return kinds[i].make;
	return NULL;
}

void flood_stranger_init(struct flood_stranger *s,
			 const struct flood_options *opt)
{
	s->opt = opt;
	ts_wg_cookie_jar_init(&s->jar, &opt->node);
}

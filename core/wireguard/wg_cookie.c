/* SPDX-License-Identifier: BSD-3-Clause
 * wg_cookie.c - the two MACs of handshake messages, and cookies
 *
 * A cookie is a MAC of the sender's address under a secret that is renewed
 * every two minutes, so the receiver remembers nothing per sender. It travels
 * sealed under the receiver's public key with the rejected message's mac1 as
 * associated data: only whoever saw that message can use it. A cookie that
 * arrives only arms the next message's mac2; sending again at once would let
 * a stranger double our traffic.
 */
#include "core/wireguard/wg_cookie.h"

#include <errno.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/crypto/secret.h"

enum { LABEL_LEN = 8, SENDER_OFFSET = 4 };

static void derive(struct ts_wg_mac_keys *keys,
		   const struct ts_public_key *receiver)
{
	ts_blake2s_mix(keys->mac1, "mac1----", LABEL_LEN, receiver->bytes,
		       TS_KEY_LEN);
	ts_blake2s_mix(keys->cookie, "cookie--", LABEL_LEN, receiver->bytes,
		       TS_KEY_LEN);
}

static size_t mac1_offset(size_t msg_len)
{
	return msg_len - 2 * WG_MAC_LEN;
}

static size_t mac2_offset(size_t msg_len)
{
	return msg_len - WG_MAC_LEN;
}

static void compute_mac1(const struct ts_wg_mac_keys *keys, const uint8_t *msg,
			 size_t len, uint8_t out[static WG_MAC_LEN])
{
	ts_blake2s(out, WG_MAC_LEN, keys->mac1, sizeof(keys->mac1), msg,
		   mac1_offset(len));
}

static void compute_mac2(const uint8_t cookie[static WG_COOKIE_LEN],
			 const uint8_t *msg, size_t len,
			 uint8_t out[static WG_MAC_LEN])
{
	ts_blake2s(out, WG_MAC_LEN, cookie, WG_COOKIE_LEN, msg,
		   mac2_offset(len));
}

static void compute_cookie(const struct ts_wg_cookie_checker *checker,
			   const struct ts_addr *from,
			   uint8_t out[static WG_COOKIE_LEN])
{
	uint8_t source[TS_IP_LEN + 2];
	struct ts_writer w = ts_writer_init(source, sizeof(source));

	ts_write_bytes(&w, from->ip.bytes, TS_IP_LEN);
	ts_write_be16(&w, from->port);
	ts_blake2s(out, WG_COOKIE_LEN, checker->secret, sizeof(checker->secret),
		   source, sizeof(source));
}

void ts_wg_cookie_checker_init(struct ts_wg_cookie_checker *checker,
			       const struct ts_public_key *own)
{
	ts_wipe(checker, sizeof(*checker));
	derive(&checker->keys, own);
}

bool ts_wg_mac1_is_right(const struct ts_wg_cookie_checker *checker,
			 const uint8_t *msg, size_t len)
{
	uint8_t mac[WG_MAC_LEN];

	compute_mac1(&checker->keys, msg, len, mac);
	return ts_secret_equal(mac, msg + mac1_offset(len), WG_MAC_LEN);
}

static bool secret_is_fresh(const struct ts_wg_cookie_checker *checker,
			    uint64_t now_ms)
{
	return checker->has_secret &&
	       now_ms - checker->secret_made_ms <= WG_COOKIE_LIFE_MS;
}

bool ts_wg_mac2_is_right(const struct ts_wg_cookie_checker *checker,
			 const uint8_t *msg, size_t len,
			 const struct ts_addr *from, uint64_t now_ms)
{
	static const uint8_t none[WG_MAC_LEN];
	uint8_t cookie[WG_COOKIE_LEN], mac[WG_MAC_LEN];
	bool is_right;

	/* Without one is what most of a flood is. */
	if (!secret_is_fresh(checker, now_ms) ||
	    memcmp(msg + mac2_offset(len), none, sizeof(none)) == 0)
		return false;
	compute_cookie(checker, from, cookie);
	compute_mac2(cookie, msg, len, mac);
	is_right = ts_secret_equal(mac, msg + mac2_offset(len), WG_MAC_LEN);
	ts_wipe(cookie, sizeof(cookie));
	return is_right;
}

void ts_wg_cookie_make(struct ts_wg_cookie_checker *checker, const uint8_t *msg,
		       size_t len, const struct ts_addr *from, uint64_t now_ms,
		       uint8_t out[static WG_COOKIE_REPLY_LEN])
{
	struct ts_wg_cookie_reply reply;
	struct ts_reader r = ts_reader_init(msg, len);
	uint8_t cookie[WG_COOKIE_LEN];

	if (!secret_is_fresh(checker, now_ms)) {
		ts_random_bytes(checker->secret, sizeof(checker->secret));
		checker->secret_made_ms = now_ms;
		checker->has_secret = true;
	}
	ts_read_skip(&r, SENDER_OFFSET);
	reply.receiver = ts_read_le32(&r);
	ts_random_bytes(reply.nonce, sizeof(reply.nonce));
	compute_cookie(checker, from, cookie);
	ts_xaead_seal(checker->keys.cookie, reply.nonce, msg + mac1_offset(len),
		      WG_MAC_LEN, cookie, sizeof(cookie), reply.sealed_cookie);
	ts_wipe(cookie, sizeof(cookie));
	ts_wg_write_cookie_reply(&reply, out);
}

void ts_wg_cookie_jar_init(struct ts_wg_cookie_jar *jar,
			   const struct ts_public_key *receiver)
{
	ts_wipe(jar, sizeof(*jar));
	derive(&jar->keys, receiver);
}

void ts_wg_macs_add(struct ts_wg_cookie_jar *jar, uint8_t *msg, size_t len,
		    uint64_t now_ms)
{
	compute_mac1(&jar->keys, msg, len, msg + mac1_offset(len));
	memcpy(jar->last_mac1, msg + mac1_offset(len), WG_MAC_LEN);
	jar->has_last_mac1 = true;
	if (jar->has_cookie && now_ms - jar->cookie_got_ms <= WG_COOKIE_LIFE_MS)
		compute_mac2(jar->cookie, msg, len, msg + mac2_offset(len));
}

int ts_wg_cookie_take(struct ts_wg_cookie_jar *jar,
		      const struct ts_wg_cookie_reply *reply, uint64_t now_ms)
{
	uint8_t cookie[WG_COOKIE_LEN];
	int err;

	if (!jar->has_last_mac1)
		return -EPROTO;
	err = ts_xaead_unseal(jar->keys.cookie, reply->nonce, jar->last_mac1,
			      WG_MAC_LEN, reply->sealed_cookie,
			      sizeof(reply->sealed_cookie), cookie);
	if (!err) {
		memcpy(jar->cookie, cookie, sizeof(cookie));
		jar->cookie_got_ms = now_ms;
		jar->has_cookie = true;
	}
	ts_wipe(cookie, sizeof(cookie));
	return err;
}

/* SPDX-License-Identifier: BSD-3-Clause
 * wg_noise.c - the handshake Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s
 *
 *   initiator                                   responder
 *   e, es, s, ss, {timestamp}          ->
 *                                      <-       e, ee, se, psk, {}
 *
 * Each function follows the tokens of its message. Names as in the paper: ck
 * is the chaining key, h the transcript's hash. A message is worked through
 * on a copy of the state, or on a state of its own, so that a forged one
 * leaves no trace.
 */
#include "core/wireguard/wg_noise.h"

#include <errno.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/crypto/secret.h"

static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";
static const uint8_t zero_psk[TS_KEY_LEN];
/* Every handshake key seals one message. */
static const uint8_t zero_nonce[TS_AEAD_NONCE_LEN];

/* Seconds of TAI64's label for 1970, with TAI's 10 s of then. */
static const uint64_t TAI64_EPOCH = 0x400000000000000aULL;
static const uint64_t NS_PER_S = 1000000000ULL;
static const uint32_t TIMESTAMP_STEP_NS = 1 << 24;

void ts_wg_identity_init(struct ts_wg_identity *id,
			 const struct ts_private_key *key)
{
	id->private = *key;
	ts_public_key_from_private(key, &id->public);
	ts_blake2s(id->first_chain_key, TS_BLAKE2S_LEN, NULL, 0, construction,
		   sizeof(construction) - 1);
	ts_blake2s_mix(id->first_hash, id->first_chain_key, TS_BLAKE2S_LEN,
		       identifier, sizeof(identifier) - 1);
}

int ts_wg_remote_init(struct ts_wg_remote *remote,
		      const struct ts_wg_identity *id,
		      const struct ts_public_key *public)
{
	remote->public = *public;
	return ts_dh(&id->private, public, remote->static_static);
}

void ts_wg_timestamp(uint64_t wall_ns, uint8_t out[static WG_TIMESTAMP_LEN])
{
	struct ts_writer w = ts_writer_init(out, WG_TIMESTAMP_LEN);
	uint32_t ns = (uint32_t)(wall_ns % NS_PER_S);

	ts_write_be64(&w, TAI64_EPOCH + wall_ns / NS_PER_S);
	/* Round down: exact nanoseconds would tell peers about our clock. */
	ts_write_be32(&w, ns & ~(TIMESTAMP_STEP_NS - 1));
}

static void mix_hash(struct ts_wg_handshake *hs, const void *data, size_t len)
{
	ts_blake2s_mix(hs->hash, hs->hash, TS_BLAKE2S_LEN, data, len);
}

/* Both sides know the responder's static key beforehand. */
static void start(struct ts_wg_handshake *hs, const struct ts_wg_identity *id,
		  const struct ts_public_key *responder)
{
	memcpy(hs->chain_key, id->first_chain_key, TS_BLAKE2S_LEN);
	memcpy(hs->hash, id->first_hash, TS_BLAKE2S_LEN);
	mix_hash(hs, responder->bytes, TS_KEY_LEN);
}

/* Token e: a pre-shared-key pattern mixes the key into ck as well. */
static void mix_ephemeral(struct ts_wg_handshake *hs,
			  const struct ts_public_key *ephemeral)
{
	mix_hash(hs, ephemeral->bytes, TS_KEY_LEN);
	ts_noise_hkdf(hs->chain_key, ephemeral->bytes, TS_KEY_LEN,
		      hs->chain_key, NULL, NULL);
}

/* Tokens ee, es, se, ss; key may be NULL when nothing is sealed after. */
static int mix_dh(struct ts_wg_handshake *hs, const struct ts_private_key *mine,
		  const struct ts_public_key *theirs, uint8_t *key)
{
	uint8_t shared[TS_KEY_LEN];
	int err = ts_dh(mine, theirs, shared);

	if (!err)
		ts_noise_hkdf(hs->chain_key, shared, sizeof(shared),
			      hs->chain_key, key, NULL);
	ts_wipe(shared, sizeof(shared));
	return err;
}

static void mix_static_static(struct ts_wg_handshake *hs,
			      const struct ts_wg_remote *remote, uint8_t *key)
{
	ts_noise_hkdf(hs->chain_key, remote->static_static, TS_KEY_LEN,
		      hs->chain_key, key, NULL);
}

static void mix_psk(struct ts_wg_handshake *hs, uint8_t *key)
{
	uint8_t tau[TS_BLAKE2S_LEN];

	ts_noise_hkdf(hs->chain_key, zero_psk, sizeof(zero_psk), hs->chain_key,
		      tau, key);
	mix_hash(hs, tau, sizeof(tau));
	ts_wipe(tau, sizeof(tau));
}

/* Seal under h, then mix the sealed form into h; uses up the key. */
static void seal_and_mix(struct ts_wg_handshake *hs,
			 uint8_t key[static TS_AEAD_KEY_LEN], const uint8_t *in,
			 size_t len, uint8_t *out)
{
	ts_aead_seal_once(key, zero_nonce, hs->hash, TS_BLAKE2S_LEN, in, len,
			  out);
	mix_hash(hs, out, len + TS_AEAD_TAG_LEN);
	ts_wipe(key, TS_AEAD_KEY_LEN);
}

static int open_and_mix(struct ts_wg_handshake *hs,
			uint8_t key[static TS_AEAD_KEY_LEN], const uint8_t *in,
			size_t sealed_len, uint8_t *out)
{
	int err = ts_aead_unseal_once(key, zero_nonce, hs->hash, TS_BLAKE2S_LEN,
				      in, sealed_len, out);

	mix_hash(hs, in, sealed_len);
	ts_wipe(key, TS_AEAD_KEY_LEN);
	return err;
}

int ts_wg_initiation_create(const struct ts_wg_identity *id,
			    const struct ts_wg_remote *remote,
			    uint32_t local_index,
			    const uint8_t timestamp[static WG_TIMESTAMP_LEN],
			    struct ts_wg_handshake *hs,
			    struct ts_wg_initiation *out)
{
	uint8_t key[TS_AEAD_KEY_LEN];
	int err;

	memset(hs, 0, sizeof(*hs));
	hs->local_index = out->sender = local_index;
	start(hs, id, &remote->public);
	/* e */
	ts_private_key_generate(&hs->ephemeral);
	ts_public_key_from_private(&hs->ephemeral, &out->ephemeral);
	mix_ephemeral(hs, &out->ephemeral);
	/* es, s */
	err = mix_dh(hs, &hs->ephemeral, &remote->public, key);
	if (err) {
		ts_wipe(hs, sizeof(*hs));
		return err;
	}
	seal_and_mix(hs, key, id->public.bytes, TS_KEY_LEN, out->sealed_static);
	/* ss, timestamp */
	mix_static_static(hs, remote, key);
	seal_and_mix(hs, key, timestamp, WG_TIMESTAMP_LEN,
		     out->sealed_timestamp);
	return 0;
}

int ts_wg_initiation_open(const struct ts_wg_identity *id,
			  const struct ts_wg_initiation *in,
			  struct ts_wg_handshake *hs,
			  struct ts_public_key *claimed)
{
	uint8_t key[TS_AEAD_KEY_LEN];
	int err;

	memset(hs, 0, sizeof(*hs));
	hs->remote_index = in->sender;
	hs->remote_ephemeral = in->ephemeral;
	start(hs, id, &id->public);
	/* e */
	mix_ephemeral(hs, &in->ephemeral);
	/* es, s */
	err = mix_dh(hs, &id->private, &in->ephemeral, key);
	if (!err)
		err = open_and_mix(hs, key, in->sealed_static,
				   sizeof(in->sealed_static), claimed->bytes);
	if (err)
		ts_wipe(hs, sizeof(*hs));
	return err;
}

int ts_wg_initiation_verify(const struct ts_wg_remote *remote,
			    const struct ts_wg_initiation *in,
			    struct ts_wg_handshake *hs,
			    uint8_t timestamp[static WG_TIMESTAMP_LEN])
{
	uint8_t key[TS_AEAD_KEY_LEN];

	/* ss, timestamp */
	mix_static_static(hs, remote, key);
	return open_and_mix(hs, key, in->sealed_timestamp,
			    sizeof(in->sealed_timestamp), timestamp);
}

int ts_wg_response_create(const struct ts_wg_remote *remote,
			  uint32_t local_index, struct ts_wg_handshake *hs,
			  struct ts_wg_response *out)
{
	uint8_t key[TS_AEAD_KEY_LEN];

	hs->local_index = out->sender = local_index;
	out->receiver = hs->remote_index;
	/* e */
	ts_private_key_generate(&hs->ephemeral);
	ts_public_key_from_private(&hs->ephemeral, &out->ephemeral);
	mix_ephemeral(hs, &out->ephemeral);
	/* ee, se */
	if (mix_dh(hs, &hs->ephemeral, &hs->remote_ephemeral, NULL) ||
	    mix_dh(hs, &hs->ephemeral, &remote->public, NULL))
		return -EACCES;
	/* psk, empty */
	mix_psk(hs, key);
	seal_and_mix(hs, key, NULL, 0, out->sealed_empty);
	return 0;
}

static int mix_response(struct ts_wg_handshake *hs,
			const struct ts_wg_identity *id,
			const struct ts_wg_response *in)
{
	uint8_t key[TS_AEAD_KEY_LEN], empty[1];

	hs->remote_index = in->sender;
	/* e */
	mix_ephemeral(hs, &in->ephemeral);
	/* ee, se */
	if (mix_dh(hs, &hs->ephemeral, &in->ephemeral, NULL) ||
	    mix_dh(hs, &id->private, &in->ephemeral, NULL))
		return -EACCES;
	/* psk, empty */
	mix_psk(hs, key);
	return open_and_mix(hs, key, in->sealed_empty, sizeof(in->sealed_empty),
			    empty);
}

int ts_wg_response_consume(const struct ts_wg_identity *id,
			   const struct ts_wg_response *in,
			   struct ts_wg_handshake *hs)
{
	struct ts_wg_handshake next = *hs;
	int err = mix_response(&next, id, in);

	if (!err)
		*hs = next;
	ts_wipe(&next, sizeof(next));
	return err;
}

void ts_wg_handshake_split(struct ts_wg_handshake *hs, bool is_initiator,
			   struct ts_wg_session_keys *out)
{
	uint32_t local = hs->local_index, remote = hs->remote_index;

	if (is_initiator)
		ts_noise_hkdf(hs->chain_key, NULL, 0, out->send, out->receive,
			      NULL);
	else
		ts_noise_hkdf(hs->chain_key, NULL, 0, out->receive, out->send,
			      NULL);
	ts_wipe(hs, sizeof(*hs));
	hs->local_index = local;
	hs->remote_index = remote;
}

/* SPDX-License-Identifier: BSD-3-Clause
 * ts2021_noise.c - the Noise IK handshake and records of the control channel
 *
 * Both ends walk the same tokens: -> e, es, s, ss and <- e, ee, se. Every
 * Diffie-Hellman result goes through HKDF into a fresh key, so each handshake
 * AEAD has the zero nonce. The prologue names the protocol version in decimal
 * and the initiation's header repeats it: they must agree, which is why the
 * version is an argument and not a constant in here.
 *
 * Records differ from the Noise specification in one point: the nonce counter
 * is big-endian.
 * Source: control/controlbase/{messages,handshake,conn}.go
 */
#include "core/control/ts2021_noise.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/crypto/secret.h"

static const char PROTOCOL_NAME[] = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
static const uint8_t ZERO_NONCE[TS_AEAD_NONCE_LEN];

enum {
	INITIATION_BODY_LEN = 96,
	RESPONSE_BODY_LEN = 48,
	SEALED_KEY_LEN = TS_KEY_LEN + TS_AEAD_TAG_LEN,
};

/* The symmetric state that both sides move in step. */
struct symmetric {
	uint8_t h[TS_BLAKE2S_LEN], ck[TS_BLAKE2S_LEN];
};

static void mix_hash(struct symmetric *s, const void *data, size_t len)
{
	ts_blake2s_mix(s->h, s->h, sizeof(s->h), data, len);
}

static void symmetric_init(struct symmetric *s, uint16_t version,
			   const struct ts_public_key *server)
{
	char prologue[48];

	ts_blake2s(s->h, sizeof(s->h), NULL, 0, PROTOCOL_NAME,
		   sizeof(PROTOCOL_NAME) - 1);
	memcpy(s->ck, s->h, sizeof(s->ck));
	snprintf(prologue, sizeof(prologue), "Tailscale Control Protocol v%u",
		 version);
	mix_hash(s, prologue, strlen(prologue));
	mix_hash(s, server->bytes, TS_KEY_LEN);
}

/* Mix one DH result in; key gets the AEAD key that follows from it. */
static int mix_dh(struct symmetric *s, const struct ts_private_key *mine,
		  const struct ts_public_key *theirs,
		  uint8_t key[static TS_AEAD_KEY_LEN])
{
	uint8_t shared[TS_KEY_LEN];
	int err = ts_dh(mine, theirs, shared);

	if (!err)
		ts_noise_hkdf(s->ck, shared, sizeof(shared), s->ck, key, NULL);
	ts_wipe(shared, sizeof(shared));
	return err;
}

static void seal_and_hash(struct symmetric *s, const uint8_t *key,
			  const uint8_t *plain, size_t len, uint8_t *out)
{
	ts_aead_seal_once(key, ZERO_NONCE, s->h, sizeof(s->h), plain, len, out);
	mix_hash(s, out, len + TS_AEAD_TAG_LEN);
}

/* len counts the tag. */
static int open_and_hash(struct symmetric *s, const uint8_t *key,
			 const uint8_t *sealed, size_t len, uint8_t *plain)
{
	int err = ts_aead_unseal_once(key, ZERO_NONCE, s->h, sizeof(s->h),
				      sealed, len, plain);

	if (!err)
		mix_hash(s, sealed, len);
	return err;
}

/* The keys of both directions; the initiator sends with the first. */
static int split(const struct symmetric *s, bool is_initiator,
		 const struct ts_public_key *remote, uint16_t version,
		 struct ts_noise_session *out)
{
	uint8_t k1[TS_AEAD_KEY_LEN], k2[TS_AEAD_KEY_LEN];
	int err = 0;

	memset(out, 0, sizeof(*out));
	ts_noise_hkdf(s->ck, NULL, 0, k1, k2, NULL);
	out->send = ts_aead_new(NULL, is_initiator ? k1 : k2);
	out->recv = ts_aead_new(NULL, is_initiator ? k2 : k1);
	memcpy(out->handshake_hash, s->h, sizeof(out->handshake_hash));
	out->remote = *remote;
	out->version = version;
	if (!out->send || !out->recv) {
		ts_noise_session_deinit(out);
		err = -ENOMEM;
	}
	ts_wipe(k1, sizeof(k1));
	ts_wipe(k2, sizeof(k2));
	return err;
}

static void choose_ephemeral(const struct ts_private_key *given,
			     struct ts_private_key *out)
{
	if (given)
		*out = *given;
	else
		ts_private_key_generate(out);
}

/* -> e, es, s, ss; the state is in s, the message in w. */
static int write_initiation(struct ts_noise_initiator *hs, struct symmetric *s,
			    struct ts_writer *w)
{
	struct ts_public_key e_pub, machine_pub;
	uint8_t key[TS_AEAD_KEY_LEN], sealed[SEALED_KEY_LEN];
	int err;

	ts_public_key_from_private(&hs->ephemeral, &e_pub);
	ts_public_key_from_private(&hs->machine, &machine_pub);
	ts_write_be16(w, hs->version);
	ts_write_u8(w, TS_NOISE_INITIATION);
	ts_write_be16(w, INITIATION_BODY_LEN);
	ts_write_bytes(w, e_pub.bytes, TS_KEY_LEN); /* e */
	mix_hash(s, e_pub.bytes, TS_KEY_LEN);
	err = mix_dh(s, &hs->ephemeral, &hs->server, key); /* es */
	if (err)
		goto done;
	seal_and_hash(s, key, machine_pub.bytes, TS_KEY_LEN, sealed); /* s */
	ts_write_bytes(w, sealed, sizeof(sealed));
	err = mix_dh(s, &hs->machine, &hs->server, key); /* ss */
	if (err)
		goto done;
	seal_and_hash(s, key, NULL, 0, sealed);
	ts_write_bytes(w, sealed, TS_AEAD_TAG_LEN);
done:
	ts_wipe(key, sizeof(key));
	return err;
}

int ts_noise_initiate(struct ts_noise_initiator *hs,
		      const struct ts_private_key *machine,
		      const struct ts_public_key *server,
		      const struct ts_private_key *ephemeral, uint16_t version,
		      uint8_t out[static TS_NOISE_INITIATION_LEN])
{
	struct ts_writer w = ts_writer_init(out, TS_NOISE_INITIATION_LEN);
	struct symmetric s;
	int err;

	hs->machine = *machine;
	hs->server = *server;
	hs->version = version;
	choose_ephemeral(ephemeral, &hs->ephemeral);
	symmetric_init(&s, version, server);
	err = write_initiation(hs, &s, &w);
	if (err) {
		ts_noise_initiator_wipe(hs);
	} else {
		memcpy(hs->h, s.h, sizeof(hs->h));
		memcpy(hs->ck, s.ck, sizeof(hs->ck));
	}
	ts_wipe(&s, sizeof(s));
	return err;
}

/* <- e, ee, se, as the initiator sees it */
static int read_response(const struct ts_noise_initiator *hs,
			 struct symmetric *s, struct ts_reader *r)
{
	struct ts_public_key e_pub;
	uint8_t key[TS_AEAD_KEY_LEN], tag[TS_AEAD_TAG_LEN], none[1];
	int err;

	if (ts_read_u8(r) != TS_NOISE_RESPONSE ||
	    ts_read_be16(r) != RESPONSE_BODY_LEN)
		return -EBADMSG;
	ts_read_bytes(r, e_pub.bytes, TS_KEY_LEN);
	ts_read_bytes(r, tag, sizeof(tag));
	if (r->bad)
		return -EBADMSG;
	mix_hash(s, e_pub.bytes, TS_KEY_LEN);		/* e */
	err = mix_dh(s, &hs->ephemeral, &e_pub, key);	/* ee */
	if (!err)
		err = mix_dh(s, &hs->machine, &e_pub, key); /* se */
	if (!err)
		err = open_and_hash(s, key, tag, sizeof(tag), none);
	ts_wipe(key, sizeof(key));
	return err;
}

int ts_noise_finish(struct ts_noise_initiator *hs,
		    const uint8_t msg[static TS_NOISE_RESPONSE_LEN],
		    struct ts_noise_session *out)
{
	struct ts_reader r = ts_reader_init(msg, TS_NOISE_RESPONSE_LEN);
	struct symmetric s;
	int err;

	memcpy(s.h, hs->h, sizeof(s.h));
	memcpy(s.ck, hs->ck, sizeof(s.ck));
	err = read_response(hs, &s, &r);
	if (!err)
		err = split(&s, true, &hs->server, hs->version, out);
	ts_noise_initiator_wipe(hs);
	ts_wipe(&s, sizeof(s));
	return err;
}

void ts_noise_initiator_wipe(struct ts_noise_initiator *hs)
{
	ts_wipe(hs, sizeof(*hs));
}

/* -> e, es, s, ss, as the responder sees it */
static int read_initiation(const struct ts_private_key *control,
			   struct symmetric *s, struct ts_reader *r,
			   struct ts_public_key *e_pub,
			   struct ts_public_key *machine)
{
	uint8_t key[TS_AEAD_KEY_LEN], none[1];
	const uint8_t *sealed, *tag;
	int err;

	ts_read_bytes(r, e_pub->bytes, TS_KEY_LEN);
	sealed = ts_read_view(r, SEALED_KEY_LEN);
	tag = ts_read_view(r, TS_AEAD_TAG_LEN);
	if (r->bad)
		return -EBADMSG;
	mix_hash(s, e_pub->bytes, TS_KEY_LEN);	/* e */
	err = mix_dh(s, control, e_pub, key);	/* es */
	if (!err)
		err = open_and_hash(s, key, sealed, SEALED_KEY_LEN,
				    machine->bytes); /* s */
	if (!err)
		err = mix_dh(s, control, machine, key); /* ss */
	if (!err)
		err = open_and_hash(s, key, tag, TS_AEAD_TAG_LEN, none);
	ts_wipe(key, sizeof(key));
	return err;
}

/* <- e, ee, se */
static int write_response(const struct ts_private_key *ephemeral,
			  struct symmetric *s, struct ts_writer *w,
			  const struct ts_public_key *their_e,
			  const struct ts_public_key *machine)
{
	struct ts_public_key e_pub;
	uint8_t key[TS_AEAD_KEY_LEN], tag[TS_AEAD_TAG_LEN];
	int err;

	ts_public_key_from_private(ephemeral, &e_pub);
	ts_write_u8(w, TS_NOISE_RESPONSE);
	ts_write_be16(w, RESPONSE_BODY_LEN);
	ts_write_bytes(w, e_pub.bytes, TS_KEY_LEN); /* e */
	mix_hash(s, e_pub.bytes, TS_KEY_LEN);
	err = mix_dh(s, ephemeral, their_e, key); /* ee */
	if (!err)
		err = mix_dh(s, ephemeral, machine, key); /* se */
	if (!err) {
		seal_and_hash(s, key, NULL, 0, tag);
		ts_write_bytes(w, tag, sizeof(tag));
	}
	ts_wipe(key, sizeof(key));
	return err;
}

int ts_noise_respond(const struct ts_private_key *control,
		     const struct ts_private_key *ephemeral,
		     const uint8_t msg[static TS_NOISE_INITIATION_LEN],
		     uint8_t response[static TS_NOISE_RESPONSE_LEN],
		     struct ts_noise_session *out)
{
	struct ts_reader r = ts_reader_init(msg, TS_NOISE_INITIATION_LEN);
	struct ts_writer w = ts_writer_init(response, TS_NOISE_RESPONSE_LEN);
	struct ts_public_key control_pub, their_e, machine;
	struct ts_private_key mine;
	struct symmetric s;
	uint16_t version = ts_read_be16(&r);
	int err = -EBADMSG;

	ts_public_key_from_private(control, &control_pub);
	symmetric_init(&s, version, &control_pub);
	choose_ephemeral(ephemeral, &mine);
	if (ts_read_u8(&r) == TS_NOISE_INITIATION &&
	    ts_read_be16(&r) == INITIATION_BODY_LEN)
		err = read_initiation(control, &s, &r, &their_e, &machine);
	if (!err)
		err = write_response(&mine, &s, &w, &their_e, &machine);
	if (!err)
		err = split(&s, false, &machine, version, out);
	ts_wipe(&mine, sizeof(mine));
	ts_wipe(&s, sizeof(s));
	return err;
}

int ts_noise_seal_record(struct ts_noise_session *s, const uint8_t *plain,
			 size_t len, uint8_t *out)
{
	struct ts_writer w = ts_writer_init(out, TS_NOISE_HEADER_LEN);
	uint8_t nonce[TS_AEAD_NONCE_LEN];

	if (len > TS_NOISE_PLAIN_MAX)
		return -EMSGSIZE;
	if (s->send_counter == UINT64_MAX)
		return -EOVERFLOW;
	ts_write_u8(&w, TS_NOISE_RECORD);
	ts_write_be16(&w, (uint16_t)(len + TS_AEAD_TAG_LEN));
	ts_nonce_be(s->send_counter++, nonce);
	ts_aead_seal(s->send, nonce, NULL, 0, plain, len,
		     out + TS_NOISE_HEADER_LEN);
	return 0;
}

int ts_noise_open_record(struct ts_noise_session *s, const uint8_t *data,
			 size_t len, uint8_t plain[static TS_NOISE_PLAIN_MAX],
			 size_t *plain_len)
{
	struct ts_reader r = ts_reader_init(data, len);
	uint8_t nonce[TS_AEAD_NONCE_LEN];
	const uint8_t *sealed;
	uint8_t type = ts_read_u8(&r);
	uint16_t sealed_len = ts_read_be16(&r);
	int err;

	if (len > 0 && type != TS_NOISE_RECORD)
		return -EBADMSG;
	if (r.bad)
		return -EAGAIN;
	if (sealed_len > TS_NOISE_FRAME_MAX - TS_NOISE_HEADER_LEN)
		return -EMSGSIZE;
	if (sealed_len < TS_AEAD_TAG_LEN)
		return -EBADMSG;
	sealed = ts_read_view(&r, sealed_len);
	if (!sealed)
		return -EAGAIN;
	if (s->recv_counter == UINT64_MAX)
		return -EOVERFLOW;
	ts_nonce_be(s->recv_counter++, nonce);
	err = ts_aead_unseal(s->recv, nonce, NULL, 0, sealed, sealed_len,
			     plain);
	if (err)
		return err;
	*plain_len = (size_t)sealed_len - TS_AEAD_TAG_LEN;
	return TS_NOISE_HEADER_LEN + sealed_len;
}

void ts_noise_session_deinit(struct ts_noise_session *s)
{
	ts_aead_free(s->send);
	ts_aead_free(s->recv);
	ts_wipe(s, sizeof(*s));
}

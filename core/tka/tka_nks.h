/* SPDX-License-Identifier: BSD-3-Clause
 * tka_nks.h - node-key signatures: who vouches for a node's key
 *
 *	direct      a trusted key signed this node key. It names the key that
 *	            may sign the node's next one.
 *	rotation    that key signed a newer node key, around the signature of
 *	            the older one
 *	credential  a trusted key delegated its power to another one, whose
 *	            private half is in a wrapped auth key. Good only inside of a
 *	            rotation.
 *
 * So a signature is a list, outermost first, of rotations that ends with a
 * direct one or a credential. What is signed is the encoding of a level with
 * all that is inside of it, but for its own signature.
 * Source: tka/sig.go
 */
#ifndef CORE_TKA_TKA_NKS_H
#define CORE_TKA_TKA_NKS_H

#include "core/crypto/signature.h"
#include "core/tka/tka_hash.h"
#include "core/tka/tka_state.h"

enum ts_nks_kind {
	TS_NKS_DIRECT = 1,
	TS_NKS_ROTATION = 2,
	TS_NKS_CREDENTIAL = 3,
};

enum {
	TS_NKS_LEVELS_MAX = 16, /* the CBOR nesting that upstream reads */
	TS_NKS_LEN_MAX = 4096,
};

struct ts_nks_level {
	uint64_t kind;
	bool has_node_key, has_key_id, has_signature, has_wrapping_key;
	struct ts_public_key node_key;
	struct ts_public_key key_id; /* of the trusted key */
	uint8_t signature[TS_SIGNATURE_LEN];
	struct ts_public_key wrapping_key; /* signs what is around it */
	struct ts_tka_hash sig_hash;
	size_t from, to; /* in what was read */
};

struct ts_nks {
	struct ts_nks_level levels[TS_NKS_LEVELS_MAX];
	size_t count; /* at least 1 */
};

/* Well-formed; nothing is verified. 0 or -EBADMSG. */
int ts_nks_read(const void *data, size_t len, struct ts_nks *out);
/* The trusted key that all rests on, without any proof. NULL: names none. */
const struct ts_public_key *ts_nks_authority(const struct ts_nks *nks);
/* Does it authorise that node key? *why: words, when it does not. */
bool ts_nks_is_valid(const struct ts_nks *nks,
		     const struct ts_tka_state *state,
		     const struct ts_public_key *node_key, const char **why);
const char *ts_nks_kind_name(uint64_t kind);

/* What is written: at most TS_NKS_LEN_MAX bytes to out, returns how many, or
 * -EBADMSG when the old one makes no sense (or is no credential), -ENOBUFS
 * when the result would be too long. */
/* Direct. wrapping_key: NULL for none. */
int ts_nks_sign(const struct ts_nl_private_key *signer,
		const struct ts_public_key *node_key,
		const struct ts_public_key *wrapping_key,
		uint8_t out[static TS_NKS_LEN_MAX]);
/* For a new node key, around the signature of the old one; that one itself
 * when it is for this key already. Long chains are made shorter. */
int ts_nks_resign(const struct ts_nl_private_key *own,
		  const struct ts_public_key *node_key, const uint8_t *old,
		  size_t old_len, uint8_t out[static TS_NKS_LEN_MAX]);
/* A credential for wrapping_key. */
int ts_nks_delegate(const struct ts_nl_private_key *signer,
		    const struct ts_public_key *wrapping_key,
		    uint8_t out[static TS_NKS_LEN_MAX]);
/* By the private half of a credential's key. */
int ts_nks_sign_by_credential(const struct ts_nl_private_key *delegate,
			      const uint8_t *credential, size_t credential_len,
			      const struct ts_public_key *node_key,
			      uint8_t out[static TS_NKS_LEN_MAX]);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 * tka_builder.h - updates that this node makes, for the server to take
 *
 * They are made one after the other from the head on, each signed and applied
 * to a copy of the state; the authority itself learns of them from the server.
 * Source: tka/builder.go
 */
#ifndef CORE_TKA_TKA_BUILDER_H
#define CORE_TKA_TKA_BUILDER_H

#include "core/tka/tka.h"

enum { TS_TKA_BUILDER_MAX = 64 };

struct ts_tka_builder;

/* The signer must be trusted: 0, -EACCES or -ENOMEM. */
int ts_tka_builder_new(const struct ts_tka *tka,
		       const struct ts_nl_private_key *signer,
		       struct ts_tka_builder **out);
void ts_tka_builder_free(struct ts_tka_builder *builder);
/* 0, -EPROTO: makes no sense at this point, -EMSGSIZE: too many, -ENOMEM. */
int ts_tka_builder_add_key(struct ts_tka_builder *builder,
			   const struct ts_tka_key *key);
int ts_tka_builder_remove_key(struct ts_tka_builder *builder,
			      const struct ts_public_key *id);
/* Adds a checkpoint when it is time for one. The list is the builder's. */
int ts_tka_builder_finish(struct ts_tka_builder *builder,
			  const struct ts_tka_aum *const **list,
			  size_t *count);

/* A genesis with this state, signed by one of its keys. 0, -EBADMSG, -EACCES:
 * the signer is not in it, -ENOMEM. */
int ts_tka_make_genesis(const struct ts_tka_state *state,
			const struct ts_nl_private_key *signer,
			struct ts_tka_aum **out);

#endif

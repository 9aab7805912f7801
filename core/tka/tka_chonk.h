/* SPDX-License-Identifier: BSD-3-Clause
 * tka_chonk.h - the updates that are known, as a tree (upstream's "tailchonk")
 *
 * All of them are in memory; a disk is told of each that is added, and gives
 * them back at the next start. Only verified updates belong in here.
 * On disk as upstream has it, so that a state directory moves in both
 * directions: a file for each update, named XX/HASH by the two first letters
 * of its hash and the hash in base32, that holds a CBOR map (2: the update,
 * 3: when it came, 4: when it was given up); and "last_active_ancestor", 32
 * bytes.
 * Source: tka/tailchonk.go
 */
#ifndef CORE_TKA_TKA_CHONK_H
#define CORE_TKA_TKA_CHONK_H

#include "core/base/key_map.h"
#include "core/tka/tka_aum.h"

enum {
	TS_TKA_AUMS_MAX = 4096,
	TS_TKA_BYTES_MAX = 64 * 1024 * 1024,
	TS_TKA_FILE_MAX = TS_TKA_AUM_MAX + 64,
	TS_TKA_FILE_NAME_CAP = 3 + TS_TKA_HASH_TEXT_CAP,
};

#define TS_TKA_ANCESTOR_FILE "last_active_ancestor"

struct ts_tka_disk {
	/* Write a file, whole or not at all: 0 or a negative errno. */
	int (*put)(void *ctx, const char *name, const void *data, size_t len);
	/* Remove all of them. */
	int (*remove_all)(void *ctx);
	void *ctx;
};

struct ts_tka_chonk {
	struct ts_key_map by_hash;  /* -> struct ts_tka_aum; owns them */
	struct ts_key_map children; /* parent's hash -> the first of them */
	size_t total_len;
	bool has_ancestor;
	struct ts_tka_hash ancestor; /* the oldest of the chain in use */
	struct ts_tka_disk disk;     /* .put NULL: none */
};

/* disk: NULL for none. NULL: out of memory. */
struct ts_tka_chonk *ts_tka_chonk_new(const struct ts_tka_disk *disk);
void ts_tka_chonk_free(struct ts_tka_chonk *chonk);
/* A file that the disk has. 0, also for one that was given up, -EBADMSG,
 * -EMSGSIZE when there are too many, or -ENOMEM. */
int ts_tka_chonk_load(struct ts_tka_chonk *chonk, const char *name,
		      const void *data, size_t len);
bool ts_tka_chonk_is_empty(const struct ts_tka_chonk *chonk);
struct ts_tka_aum *ts_tka_chonk_get(const struct ts_tka_chonk *chonk,
				    const struct ts_tka_hash *hash);
/* The first child; the others follow by next_sibling. NULL: none. */
struct ts_tka_aum *ts_tka_chonk_children(const struct ts_tka_chonk *chonk,
					 const struct ts_tka_hash *parent);
struct ts_tka_aum *ts_tka_chonk_next(const struct ts_tka_chonk *chonk,
				     size_t *pos);
/* Into memory only. Takes the update, which must be new, but not on error:
 * -EMSGSIZE or -ENOMEM. */
int ts_tka_chonk_add(struct ts_tka_chonk *chonk, struct ts_tka_aum *aum);
/* Out of memory, and freed. */
void ts_tka_chonk_drop(struct ts_tka_chonk *chonk, struct ts_tka_aum *aum);
/* To disk; 0 when there is none. */
int ts_tka_chonk_store(struct ts_tka_chonk *chonk, struct ts_tka_aum *aum,
		       int64_t now_unix);
/* Marks it as given up on disk, and drops it. */
int ts_tka_chonk_purge(struct ts_tka_chonk *chonk, struct ts_tka_aum *aum,
		       int64_t now_unix);
int ts_tka_chonk_set_ancestor(struct ts_tka_chonk *chonk,
			      const struct ts_tka_hash *ancestor);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 * state_file.h - the key-value state in tsnet's format (tailscaled.state)
 *
 * Bytes <-> map only; the disk is core/io/disk. PROTOCOL 1.
 * Source: ipn/store.go, ipn/store/stores.go, ipn/ipnlocal/profiles.go
 */
#ifndef CORE_STATE_STATE_FILE_H
#define CORE_STATE_STATE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "core/model/prefs.h"

struct ts_state; /* ordered map: text key -> bytes; wiped when freed */

struct ts_state *ts_state_new(void);
void ts_state_free(struct ts_state *s);
struct ts_state *ts_state_copy(const struct ts_state *s); /* NULL: no memory */
/* Where entries can only be named by letters, digits, '-', '_' and '.': from
 * now on each other character of a key counts as '_', as upstream has it. */
void ts_state_use_plain_keys(struct ts_state *s);
/* Empty input is an empty state. -EBADMSG with the reason in err. */
int ts_state_parse(struct ts_state *s, const uint8_t *data, size_t len,
		   char err[static 128]);
/* Heap text as upstream writes it (two spaces), caller wipes and frees. */
char *ts_state_format(const struct ts_state *s, size_t *len);
const uint8_t *ts_state_get(const struct ts_state *s, const char *key,
			    size_t *len);
/* 1: changed, 0: the same value was there, -ENOMEM. data NULL: delete. */
int ts_state_set(struct ts_state *s, const char *key, const void *data,
		 size_t len);

/* The next one is another machine's: 0, 1 (it is gone) or -ENOMEM. */
int ts_state_forget_machine_key(struct ts_state *s);
/* The keys in order, 0..count-1; bytes of a key are not changed by what is done
 * to others, its place is. */
size_t ts_state_count(const struct ts_state *s);
const char *ts_state_key(const struct ts_state *s, size_t i);

/* Machine key: loaded, or made and stored (then *created = true). */
int ts_state_machine_key(struct ts_state *s, struct ts_private_key *out,
			 bool *created, char err[static 128]);
/* The current profile's prefs; *found = false: none yet (out: defaults). */
int ts_state_load_profile(const struct ts_state *s, struct ts_prefs *out,
			  bool *found, char err[static 128]);
/* The current profile's ID, fit for a file's name: 0 or -ENOENT. */
enum { TS_PROFILE_ID_CAP = 64 };
int ts_state_profile_id(const struct ts_state *s,
			char out[static TS_PROFILE_ID_CAP]);
/* Write the profile (makes one with a random 4-hex ID when there is none):
 * _profiles, _current-profile, profile-XXXX. network: MagicDNS suffix and
 * domain for LoginProfile.NetworkProfile, may be NULL. now_unix: when a new one
 * was created. 0, -ENOMEM, -EBADMSG (the list cannot be read), -ENOSPC. */
int ts_state_store_profile(struct ts_state *s, const struct ts_prefs *prefs,
			   const char *magic_suffix, const char *domain,
			   int64_t now_unix);

#endif

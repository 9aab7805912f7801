/* SPDX-License-Identifier: BSD-3-Clause
 * derp_client_internal.h - what the files of a DERP connection share
 *
 *   derp_client         the upgrade, what we send, upkeep
 *   derp_client_frames  what the server sends
 */
#ifndef CORE_PATH_DERP_CLIENT_INTERNAL_H
#define CORE_PATH_DERP_CLIENT_INTERNAL_H

#include "core/path/derp_client.h"

/* -- derp_client.c -------------------------------------------------------- */
void ts_derp_client_set_state(struct ts_derp_client *c,
			      enum ts_derp_client_state next);
bool ts_derp_client_is_introduced(const struct ts_derp_client *c);
/* Does the stream not keep up with what we write? */
bool ts_derp_client_is_slow(struct ts_derp_client *c);
/* ClientInfo, and NotePreferred right behind it when this is our home. 0,
 * -ECANCELED (c was closed meanwhile) or another -errno. */
int ts_derp_client_introduce(struct ts_derp_client *c,
			     const struct ts_public_key *server);

/* -- derp_client_frames.c ------------------------------------------------- */
/* 0 or -errno; c may have been closed meanwhile. */
int ts_derp_client_take_frame(struct ts_derp_client *c,
			      const struct ts_derp_frame *frame);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 * drop_rights.h - who may send files to whom
 * Source: feature/taildrop/ext.go (FileTargets, taildropTargetStatus),
 * feature/taildrop/peerapi.go (canPutFile)
 */
#ifndef CORE_DROP_DROP_RIGHTS_H
#define CORE_DROP_DROP_RIGHTS_H

#include "core/node/node.h"

/* ipnstate.TaildropTargetStatus, with its numbers. */
enum ts_drop_target {
	TS_DROP_AVAILABLE = 1,
	TS_DROP_NOT_RUNNING = 3,
	TS_DROP_MISSING_CAP = 4,
	TS_DROP_OFFLINE = 5,
	TS_DROP_UNSUPPORTED_OS = 7,
	TS_DROP_NO_PEERAPI = 8,
	TS_DROP_OTHER_USER = 9,
};

/* Has the tailnet's admin switched it on for this node? */
bool ts_drop_is_enabled(const struct ts_node *node);
/* Can we send files there, as far as one can say? */
enum ts_drop_target ts_drop_target_of(const struct ts_node *node,
				      const struct ts_peer *peer);
/* The same, though it may be offline: one may try. */
bool ts_drop_is_target(const struct ts_node *node, const struct ts_peer *peer);
/* May peer, at that address, send files to us? */
bool ts_drop_may_send(const struct ts_node *node, const struct ts_peer *peer,
		      const struct ts_ip *from);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 * broker_link.h - one request and one reply over one connection
 */
#ifndef SHIM_BROKER_LINK_H
#define SHIM_BROKER_LINK_H

#include "shim/shim.h"

/* *got_fd: the descriptor that came with the reply, or -1; NULL: none is
 * expected. pass_fd -1: none goes along. 0, or a negative errno when there was
 * no answer: see shim_host_is_gone(). */
int shim_broker_exchange(const struct shim_broker *broker,
			 const struct ts_broker_request *req, int pass_fd,
			 struct ts_broker_reply *rep, int *got_fd);
/* The same without an answer: the message is in the host's queue. */
int shim_broker_tell(const struct shim_broker *broker,
		     const struct ts_broker_request *req, int pass_fd);
/* Does err say that nobody serves this broker any more? */
bool shim_host_is_gone(int err);

#endif

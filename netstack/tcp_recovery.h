/* SPDX-License-Identifier: BSD-3-Clause
 * tcp_recovery.h - what an ACK means: arrivals, losses, the window after them
 */
#ifndef NETSTACK_TCP_RECOVERY_H
#define NETSTACK_TCP_RECOVERY_H

#include "netstack/tcp_sender.h"

/* Everything but timers. */
void stack_recovery_ack(struct tcp_sender *s, const struct tcp_ack *ack,
			uint64_t now_us);
/* Segments were found lost by the clock. */
void stack_recovery_found_lost(struct tcp_sender *s);
/* Nothing has come for too long: all that is in flight is lost. */
void stack_recovery_timeout(struct tcp_sender *s);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 * fork_gate.h - no fork() while an engine is in the middle of something, and
 *		 one engine of a process at a time
 *
 * For engines on threads inside somebody else's program.
 */
#ifndef CORE_ENGINE_FORK_GATE_H
#define CORE_ENGINE_FORK_GATE_H

/* From now on fork() of this process waits, at most a second, for all that are
 * inside. May be repeated. */
void fork_gate_watch(void);
/* Around whatever takes locks or changes data of libraries; one thread at a
 * time is inside. May wait for a fork() that is under way, and for the other
 * engines of this process. Not to be nested. */
void fork_gate_enter(void);
void fork_gate_leave(void);

#endif

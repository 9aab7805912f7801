/* SPDX-License-Identifier: BSD-3-Clause
 * drop_place.h - where files that peers send go
 */
#ifndef CORE_ENGINE_DROP_PLACE_H
#define CORE_ENGINE_DROP_PLACE_H

struct ts_engine;

/* Makes engine->drop_box. 0, -ENOMEM. */
int engine_open_drop(struct ts_engine *engine);
/* The node may be another user's now. */
void engine_follow_login(struct ts_engine *engine);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 * lab_control.h - the control server's connections
 */
#ifndef TESTS_LAB_LAB_CONTROL_H
#define TESTS_LAB_LAB_CONTROL_H

#include "tests/lab/lab.h"

/* Listens. 0 or a negative errno. */
int lab_control_open(struct lab *lab, struct lab_control **out);
void lab_control_close(struct lab_control *ctl); /* NULL is fine */
uint16_t lab_control_port(const struct lab_control *ctl);
uint16_t lab_control_tls_port(const struct lab_control *ctl); /* 0: none */
/* Write what the handlers queued; once a turn of the loop. */
void lab_control_pump(struct lab_control *ctl);

/* -- trouble -------------------------------------------------------------- */
size_t lab_control_drop_all(struct lab_control *ctl); /* how many */
int lab_control_refuse(struct lab_control *ctl, bool on);
/* Accept, but neither read nor write, on old and new connections. */
void lab_control_stall(struct lab_control *ctl, bool on);
json_t *lab_control_stats(const struct lab_control *ctl);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 * lab.h - the embedded tailnet's parts, on one loop
 *
 * Reading order: lab_main.c puts the parts together; lab_state.h is what they
 * share; lab_control.c takes connections, lab_register.c and lab_map.c answer
 * them; lab_derp.c and lab_stun.c are the network's side; lab_command.c lets
 * tests look in and make trouble.
 */
#ifndef TESTS_LAB_LAB_H
#define TESTS_LAB_LAB_H

#include "core/loop/loop.h"
#include "tests/lab/lab_options.h"
#include "tests/lab/lab_state.h"
#include "tests/lab/lab_tls.h"

struct lab_control;
struct lab_register;
struct lab_map;
struct lab_ping;
struct lab_derp;
struct lab_stun;
struct lab_command;
struct lab_peer_relay;
struct lab_tka;

struct lab {
	struct ts_loop *loop;
	struct lab_options opt;
	struct lab_tls tls;
	struct lab_state state;
	struct lab_control *control;
	struct lab_register *registrar;
	struct lab_map *map;
	struct lab_ping *ping;
	struct lab_tka *tka;
	struct lab_derp *derps[LAB_REGIONS_MAX]; /* opt.regions of them */
	struct lab_stun *stuns[LAB_REGIONS_MAX]; /* NULL: off */
	struct lab_peer_relay *peer_relay;	/* NULL: none */
	int first_region;
	struct lab_command *command; /* NULL: no socket */
};

#endif

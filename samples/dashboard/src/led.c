/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The LED, where the devicetree has led-gpios in /zephyr,user: see boards/. Elsewhere it is a
 * virtual one, which the page and the log show.
 */

#include <zephyr/drivers/gpio.h>
#include <zephyr/kernel.h>

#define USER DT_PATH(zephyr_user)

void dashboard_led_set(bool on)
{
#if DT_NODE_HAS_PROP(USER, led_gpios)
	static const struct gpio_dt_spec led = GPIO_DT_SPEC_GET(USER, led_gpios);

	/* A pin that cannot be set remains as it is; the page shows what was asked for. */
	(void)gpio_pin_configure_dt(&led, on ? GPIO_OUTPUT_ACTIVE : GPIO_OUTPUT_INACTIVE);
#else
	ARG_UNUSED(on);
#endif
}

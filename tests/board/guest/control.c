// control DEVICE NAME VALUE: sets one of a device's controls, by the name that it shows.
// control DEVICE interval NUMERATOR DENOMINATOR: sets the seconds from one frame to the next.
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static int set(int device, const char *name, int value) {
    struct v4l2_queryctrl query = {.id = V4L2_CTRL_FLAG_NEXT_CTRL};
    for (; !ioctl(device, VIDIOC_QUERYCTRL, &query); query.id |= V4L2_CTRL_FLAG_NEXT_CTRL) {
        if (!strcmp((char *)query.name, name)) {
            struct v4l2_control control = {query.id, value};
            return ioctl(device, VIDIOC_S_CTRL, &control);
        }
    }
    fprintf(stderr, "no such control\n");
    return -1;
}

int main(int count, char **arguments) {
    int device = count < 4 ? -1 : open(arguments[1], O_RDWR);
    int result = device;
    if (device >= 0 && count == 4) {
        result = set(device, arguments[2], atoi(arguments[3]));
    } else if (device >= 0 && count == 5 && !strcmp(arguments[2], "interval")) {
        struct v4l2_streamparm rates = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE};
        rates.parm.capture.timeperframe = (struct v4l2_fract){atoi(arguments[3]), atoi(arguments[4])};
        result = ioctl(device, VIDIOC_S_PARM, &rates);
        printf("%u/%u\n", rates.parm.capture.timeperframe.numerator, rates.parm.capture.timeperframe.denominator);
    }
    if (result < 0)
        perror(count > 2 ? arguments[2] : "control");
    return result < 0;
}

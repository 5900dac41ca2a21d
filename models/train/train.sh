#!/bin/sh
# train.sh DATA WORK: the four training steps in order.
set -eu
cd "$(dirname "$0")"
python train_concepts.py --data "$1" --work "$2"
python pretrain.py --data "$1" --work "$2"
python train.py --data "$1" --work "$2"
python export.py --work "$2" --checkpoint trained.pt --out "$2/joint"
python rows.py --data "$1" --work "$2" --bundle "$2/joint"
python embed.py --data "$1" --work "$2"

#!/bin/sh
# train.sh DATA WORK: the five training steps in order.
set -eu
cd "$(dirname "$0")"
python train_concepts.py --data "$1" --work "$2"
python pretrain.py --data "$1" --work "$2"
python train.py --data "$1" --work "$2"
python rows.py --data "$1" --work "$2"
python embed.py --data "$1" --work "$2"
python train_decoder.py --data "$1" --work "$2"

#!/bin/sh
# A job of Slurm with four workers: sbatch examples/several-machines/slurm.sh poems.txt
#SBATCH --ntasks=4
#SBATCH --cpus-per-task=4
# A worker that is lost ends the others with code 1; the run is then continued by hand, or by the next job.
srun textgen train "$@" --workers slurm
